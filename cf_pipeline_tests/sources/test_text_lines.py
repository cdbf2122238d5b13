from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cf_pipeline.errors import DataError
from cf_pipeline.sources.text_lines import (
    MAX_LINES_PER_RECORD,
    Dialect,
    Line,
    UnclosedQuoteError,
    numbered_lines,
    records,
    split_values,
)

COMMA = Dialect(",", '"', '"')


def lines_of(text: str) -> Iterator[Line]:
    return (
        Line(number, line, True) for number, line in enumerate(text.split("\n"), start=1) if line
    )


@given(st.lists(st.text(st.sampled_from('a ,"é'), max_size=6), min_size=1, max_size=5))
def test_splits_as_the_standard_library_does(values: list[str]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(values)
    assert split_values(written.getvalue(), COMMA) == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", ""]),
        (",", ["", ""]),
        ('a, "b" ,c', ["a", "b", "c"]),
        ('a,b"c', ["a", 'b"c']),
        ('"a""b",""', ['a"b', ""]),
        ('"a"b,c', None),
        ('"a,b",c', ["a,b", "c"]),
    ],
)
def test_splitting(text: str, expected: list[str] | None) -> None:
    assert split_values(text, COMMA) == expected


@pytest.mark.parametrize("text", ['"a', 'a,"b', '"a""'])
def test_an_open_quote(text: str) -> None:
    with pytest.raises(UnclosedQuoteError):
        split_values(text, COMMA)


def test_an_escape_and_a_long_delimiter() -> None:
    dialect = Dialect("::", '"', "\\")
    assert split_values(r'"a\"::b"::c\d', dialect) == ['a"::b', r"c\d"]
    assert split_values('a::"b', Dialect("::", "", "")) == ["a", '"b']


@given(st.text(st.sampled_from('a,"\n'), max_size=60), st.integers(1, 3))
def test_every_line_is_in_exactly_one_record(text: str, width: int) -> None:
    rows = list(records(lines_of(text), width, COMMA))
    assert "".join(row.text for row in rows).replace("\n", "") == text.replace("\n", "")
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    assert all(row.values is None or len(row.values) == width for row in rows)


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('a,"\n'), max_size=5), min_size=2, max_size=2), max_size=8
    )
)
def test_whatever_is_quoted_as_it_should_be_comes_back(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    assert [row.values for row in records(lines_of(written.getvalue()), 2, COMMA)] == rows


def test_reading_resumes_after_a_quote_that_does_not_close() -> None:
    good = [f"a{i},b{i}" for i in range(2 * MAX_LINES_PER_RECORD)]
    rows = list(records(lines_of("\n".join(['x,"y', *good, '"p",q'])), 2, COMMA))
    assert [row.line for row in rows if row.values is None] == [1]
    assert len(rows) == len(good) + 2


def test_lines_with_wrong_bytes_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbfa\r\n\r\n\xe9\nb"))
    assert list(numbered_lines(path, "gzip", "utf-8")) == [
        Line(1, "a", True),
        Line(3, "\ufffd", False),
        Line(4, "b", True),
    ]


def test_damage_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 9999)[:-20])
    with pytest.raises(DataError, match=r"a\.csv\.gz cannot be read as utf-8 text"):
        list(numbered_lines(path, "gzip", "utf-8"))
    path = tmp_path / "b.csv"
    path.write_bytes("a,b\n".encode("utf-16") + b"\x00")
    with pytest.raises(DataError, match="correct encoding"):
        list(numbered_lines(path, "none", "utf-16"))
