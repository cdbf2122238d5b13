"""Scoreboards of finished homes as Markdown, and into the README with --write.

    python benchmarks/scoreboard.py --home data/home --home data/home-scratch --write

Each home's table stands beside its recipe, budget, choices and the model's own facts, all read from
the home; the block between the two scoreboard comments of the README is replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from cf_pipeline.benchmark.report import markdown
from cf_pipeline.models.exporting import scoreboards
from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.warehouse import Warehouse

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- scoreboard -->", "<!-- end of scoreboard -->"


def main() -> None:
    """Print every table, and one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, action="append", required=True)
    parser.add_argument("--write", action="store_true", help="put the tables into the README")
    parser.add_argument("--size", type=int, default=0, help="only the first tables; 0: all")
    arguments = parser.parse_args()
    blocks = [block for home in arguments.home for block in blocks_of(home)]
    blocks = blocks[: arguments.size or None]
    print("\n\n".join(blocks))
    if arguments.write:
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        text = "\n\n".join([f"{before}{BEGIN}", *blocks, f"{END}{after}"])
        README.write_text(text, encoding="utf-8")
    print(json.dumps({"tables": len(blocks), "cores": os.cpu_count()}))


def blocks_of(path: Path) -> list[str]:
    """A heading with the facts, then the test table and the probe's."""
    home = Home.locate(path)
    choices = Choices.read(home.config_path)
    configuration = resolve(choices)
    records = Warehouse(home.warehouse_path).records()
    version = records["trained_cnn"].data_version
    model = Warehouse(home.warehouse_path).frame(
        "trained_cnn", where="model_version = ?", parameters=[version]
    )
    facts = json.loads(model["manifest"][0])
    chosen = "".join(f" --set {key}={value}" for key, value in sorted(choices.set.items()))
    minutes = records["trained_cnn"].seconds / 60
    heading = (
        f"**`cf-pipeline run --budget {configuration.budget}{chosen}`**: {facts['architecture']}, "
        f"{facts['n_train']:,} train covers at {facts['image_size']} px, best epoch "
        f"{facts['best_epoch']} of {configuration.vision.epochs}, split seed "
        f"{configuration.split.seed}; trained in {minutes:.1f} minutes on {os.cpu_count()} cores "
        f"({platform.machine()}, no GPU), torch {facts['torch_version']}."
    )
    tables = [
        f"{title}\n\n{markdown(titles, rows)}"
        for title, titles, rows in scoreboards(home)
        if "validation" not in title
    ]
    return [heading, *tables]


if __name__ == "__main__":
    main()
