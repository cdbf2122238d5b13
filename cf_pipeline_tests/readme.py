"""The README as its reader has it: the lines of code below a heading."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands below a heading, to the next one."""
    return README.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str = "") -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """Every command line of the code blocks, in order, without its comment."""
    lines = [line for block in blocks(text) for line in block.splitlines()]
    bare = [re.split(r"\s+#", line)[0].strip() for line in lines]
    return [line for line in bare if line.startswith("cf-pipeline ")]
