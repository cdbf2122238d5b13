"""Which keyword boards of Open Clip Art give away a label: the list `exclude_users`.

A board whose name is a field or a subfield of the library, or a word of one, with plural endings
and punctuation aside, would put the labels that features are judged by into the matrix that they
are learned from. The list is computed from the two Parquet files beside this script.

    python exclude_label_boards.py           prints the list as TOML
    python exclude_label_boards.py --check   exits 1 where dataset.toml says something else
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import duckdb

FOLDER = Path(__file__).resolve().parent
BOARD = "board:"


def words(name: str) -> tuple[str, ...]:
    """The words of a name: `Signs_and_symbols` gives (sign, and, symbol)."""
    return tuple(word.removesuffix("s") for word in re.findall(r"[a-z0-9]+", name.lower()))


def label_boards(folder: Path) -> list[str]:
    """The user ids of boards that name a label, sorted."""
    with duckdb.connect() as con:
        projects = con.read_parquet(str(folder / "projects.parquet"))
        interactions = con.read_parquet(str(folder / "interactions.parquet"))
        labels = projects.project("unnest([field, subfield]) AS label").distinct().fetchall()
        users = interactions.project("user_id").distinct().fetchall()
    whole = {words(label) for (label,) in labels if label is not None}
    named = whole | {(word,) for label in whole for word in label}
    return sorted(
        user
        for (user,) in users
        if user.startswith(BOARD) and words(user.removeprefix(BOARD)) in named
    )


def main() -> int:
    """Print the list, or compare it with `dataset.toml`."""
    computed = label_boards(FOLDER)
    if "--check" not in sys.argv[1:]:
        print("exclude_users = [")
        for user in computed:
            print(f"  {json.dumps(user, ensure_ascii=False)},")
        print("]")
        return 0
    with (FOLDER / "dataset.toml").open("rb") as file:
        stated = tomllib.load(file).get("users", {}).get("exclude_users", [])
    if stated == computed:
        print(f"{len(computed)} boards, as dataset.toml says")
        return 0
    missing, extra = sorted(set(computed) - set(stated)), sorted(set(stated) - set(computed))
    print(f"exclude_users in dataset.toml differs: missing {missing}, too many {extra}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
