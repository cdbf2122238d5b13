"""Scoreboards pooled over folds as Markdown, and into the README with --write.

    cf-pipeline crossvalidate --folds 5 --budget demo --save docs/results/demo.json
    python benchmarks/scoreboard.py --results docs/results/demo.json --write

What it reads is what `crossvalidate --save` keeps; no home is needed. One table a measure stands
below the command, commit, day and hardware that gave it. With --write the README gets what the
chosen layers are above their references between the two headline comments, and all tables, folded,
between the two scoreboard comments.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from cf_pipeline.benchmark.report import markdown, pooled_boards
from cf_pipeline.models.saved_board import SavedBoard
from trials.report import write_block

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
RESULTS = REPOSITORY / "docs" / "results"
TABLES = "<!-- scoreboard -->", "<!-- end of scoreboard -->"
HEADLINE = "<!-- headline -->", "<!-- end of headline -->"
MEASURES = {"triplet_accuracy": "triplet accuracy", "ndcg_at_10": "nDCG at 10"}


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
        write_block(README, [headline(arguments.results)], *HEADLINE)
        write_block(README, [folded(file) for file in arguments.results], *TABLES)
    print(json.dumps({"results": len(arguments.results), "tables": len(blocks)}))


def headline(files: Sequence[Path]) -> str:
    """What the chosen layers are above their references, a row a data set and reference.

    Of measures that are judged within strata, too, that one is told.
    """
    rows = []
    for file in files:
        board = SavedBoard.read(file)
        for reference in board.rows["reference"].unique(maintain_order=True).drop_nulls():
            above = board.chosen_minus(reference)
            cells = [above.get(f"{m}_within_stratum") or above[m] for m in MEASURES]
            rows.append([f"`{file.stem}`", f"`{reference}`", *cells])
    return markdown(["data set", "chosen layer minus", *MEASURES.values()], rows)


def folded(file: Path) -> str:
    """All tables of a result, to be opened by whoever wants them."""
    blocks = "\n\n".join(blocks_of(file, 0))
    return f"<details>\n<summary>{file.stem}: every row</summary>\n\n{blocks}\n\n</details>"


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
