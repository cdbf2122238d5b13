"""Which column of a table names pictures that lie in a folder, and below which folder."""

from __future__ import annotations

import os
from dataclasses import dataclass

import duckdb

from cf_pipeline.sources.survey import FoundTable
from cf_pipeline.sql import quoted


@dataclass(frozen=True)
class Pictures:
    """Where a project's picture lies: a folder, and a column or expression below it."""

    folder: str
    spec: str
    share: float


class PictureIndex:
    """Pictures by every end of their path, `b.png` and `a/b.png`, and by name without suffix."""

    def __init__(self, pictures: list[str]) -> None:
        self.by_end: dict[str, str] = {}
        self.by_stem: dict[str, str] = {}
        for path in pictures:
            parts = path.split("/")
            for n in range(len(parts)):
                self.by_end.setdefault("/".join(parts[n:]), "/".join(parts[:n]))
            self.by_stem.setdefault(os.path.splitext(parts[-1])[0], path)

    def of(
        self, con: duckdb.DuckDBPyConnection, table: FoundTable, id_column: str
    ) -> Pictures | None:
        """The column of a table whose values are pictures, or whose ids are their names."""
        if not self.by_end:
            return None
        found: list[Pictures] = []
        for column in table.columns.values():
            if column.is_list:
                continue
            values = [
                value for (value,) in con.execute(
                    f"SELECT CAST({quoted(column.name)} AS VARCHAR) FROM {table.sample} "
                    f"WHERE {quoted(column.name)} IS NOT NULL LIMIT 2000"
                ).fetchall()
            ]  # fmt: skip
            found += self._by_path(column.name, values, len(values))
            if column.name == id_column:
                found += self._by_name(column.name, values)
        return max(found, key=lambda each: each.share, default=None)

    def _by_path(self, column: str, values: list[str], n: int) -> list[Pictures]:
        named = (value.removeprefix("./") for value in values)
        folders = [self.by_end[value] for value in named if value in self.by_end]
        if not folders:
            return []
        folder = max(set(folders), key=folders.count)
        return [Pictures(folder or ".", column, folders.count(folder) / n)]

    def _by_name(self, column: str, values: list[str]) -> list[Pictures]:
        paths = [self.by_stem[value] for value in values if value in self.by_stem]
        if not paths:
            return []
        endings = [(os.path.dirname(p), os.path.splitext(p)[1]) for p in paths]
        folder, suffix = max(set(endings), key=endings.count)
        share = endings.count((folder, suffix)) / len(values)
        return [Pictures(folder or ".", f"{quoted(column)} || '{suffix}'", share)]
