"""Scoreboards pooled over folds as Markdown, and into the README with --write.

    cf-pipeline crossvalidate --folds 5 --budget demo --save docs/results/demo.json
    python benchmarks/scoreboard.py --results docs/results/demo.json --write

What it reads is what `crossvalidate --save` keeps; no home is needed. One table a measure stands
below the command, commit, day and hardware that gave it. With --write the block between the two
scoreboard comments of the README is replaced.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from cf_pipeline.benchmark.report import markdown, pooled_boards
from cf_pipeline.models.saved_board import SavedBoard
from trials.report import write_block

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
RESULTS = REPOSITORY / "docs" / "results"
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"


def main() -> None:
    """Print every table, and one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--results",
        type=Path,
        nargs="+",
        default=sorted(RESULTS.glob("*.json")),
        help="what crossvalidate --save wrote; none: all of docs/results",
    )
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--size", type=int, default=0, help="first measures of each; 0: all")
    arguments = parser.parse_args()
    blocks = [block for file in arguments.results for block in blocks_of(file, arguments.size)]
    print("\n\n".join(blocks))
    if arguments.write:
        write_block(README, blocks, BEGIN, END)
    print(json.dumps({"results": len(arguments.results), "tables": len(blocks)}))


def blocks_of(file: Path, size: int) -> list[str]:
    """A table for each of the first measures of a result (0: all), the first below its facts.

    Raises:
        DataError: the file is not what `crossvalidate --save` writes.
    """
    board = SavedBoard.read(file)
    heading = f"**`{board.command}`**, commit {board.commit}, {board.date}, {board.hardware}:"
    tables = [
        f"{title}, {board.folds} folds\n\n{markdown(titles, cells)}"
        for title, titles, cells in pooled_boards(board.rows)[: size or None]
    ]
    return [f"{heading}\n\n{tables[0]}", *tables[1:]]


if __name__ == "__main__":
    main()
