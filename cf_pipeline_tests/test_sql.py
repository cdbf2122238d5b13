"""SQL from patterns, asked of DuckDB itself."""

from __future__ import annotations

import duckdb
import pytest

from cf_pipeline.sql import written_as


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("board:{board}", ["board:it's", "board:x"]),
        ("{board}", ["board:it's", "board:x", "b'y", "x"]),
        ("b'{board}", ["b'y"]),
        ("{board}:x", ["board:x"]),
        (None, []),
    ],
)
def test_who_is_written_as_a_pattern(pattern: str | None, found: list[str]) -> None:
    users = "(VALUES ('board:it''s'), ('board:x'), ('b''y'), ('x')) AS users(user_id)"
    asked = f"SELECT user_id FROM {users} WHERE {written_as('user_id', pattern, '{board}')}"
    assert [user for (user,) in duckdb.sql(asked).fetchall()] == found
