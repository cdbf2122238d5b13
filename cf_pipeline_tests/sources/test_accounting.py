"""Read = used + rejected, against rows whose fate was known when they were written."""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_pipeline.sources.dataset import load_dataset
from cf_pipeline.sources.reading import read_interactions
from cf_pipeline_tests.sources.conftest import write_dataset

ONE_THREAD = {"threads": "1"}
USED = "used"
GOOD = "u0,p0,view"

ids = st.text(st.sampled_from('a0 ,"\né'), min_size=1, max_size=5).filter(lambda text: text.strip())


def written(values: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue().removesuffix("\n")


rows = st.one_of(
    st.tuples(ids, ids).map(lambda pair: (written([*pair, "view"]), USED)),
    ids.map(lambda text: (written(["", text, "view"]), "no user")),
    ids.map(lambda text: (written([text, " ", "like"]), "no project")),
    ids.map(lambda text: (written([text, text, "stare"]), "unknown kind")),
    st.sampled_from(["u1", "u1,p1", "u1,p1,view,more", '"u1"x,p1,view', "  "]).map(
        lambda line: (line, "broken line")
    ),
    st.just(("", "")),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(rows, max_size=30), st.booleans())
def test_read_is_used_and_rejected(lines: list[tuple[str, str]], has_final_end: bool) -> None:
    text = "\n".join(["user,project,kind", GOOD, *(line for line, _ in lines)])
    fates = Counter(fate for _, fate in lines if fate)
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=ONE_THREAD) as con:
        (Path(folder) / "interactions.csv").write_text(text + "\n" * has_final_end)
        counts = read_interactions(con, load_dataset(write_dataset(Path(folder))))
        places = con.execute(
            "SELECT row_number, reason FROM loaded_interactions_rejected"
        ).fetchall()
    assert counts.read == counts.used + counts.rejected == sum(fates.values()) + 1
    assert counts.used == fates.pop(USED, 0) + 1
    assert counts.by_reason == dict(fates)
    expected, number = [], 3
    for line, fate in lines:
        if fate not in {"", USED}:
            expected.append((number, fate))
        number += line.count("\n") + 1
    assert places == expected


@settings(max_examples=25, deadline=None)
@given(st.text(st.sampled_from('ab ,"\n\r\x01é'), max_size=80))
def test_any_text_is_accounted_for(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=ONE_THREAD) as con:
        path = Path(folder) / "interactions.csv"
        path.write_text(f"user,project,kind\n{GOOD}\n{text}", newline="")
        counts = read_interactions(con, load_dataset(write_dataset(Path(folder))))
    assert counts.read == counts.used + counts.rejected


plain_values = st.text(st.sampled_from("ab é\t'-"), min_size=1, max_size=4).filter(str.strip)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(plain_values, plain_values).map(lambda pair: f'{pair[0]}, "{pair[1]}" ,view'),
            plain_values.map(lambda value: f"{value},x,view"),
            st.sampled_from(["a,b", ",,", "a,b,c,d", '"a""b",p,like', ""]),
        ),
        max_size=12,
    )
)
def test_both_readers_of_csv_agree(lines: list[str]) -> None:
    # A quote that never closes, in the last line, is what sends a file to the slower reader.
    tables = []
    for last in ("u9,p9,view", 'u9,"p9,view'):
        with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=ONE_THREAD) as con:
            text = "\n".join(["user,project,kind", GOOD, *lines, last])
            (Path(folder) / "interactions.csv").write_text(text)
            read_interactions(con, load_dataset(write_dataset(Path(folder))))
            used = con.execute("FROM loaded_interactions").fetchall()
            rejected = con.execute("FROM loaded_interactions_rejected").fetchall()
            tables.append((used, rejected))
    (fast_used, fast_rejected), (slow_used, slow_rejected) = tables
    assert fast_used[:-1] == slow_used
    assert fast_rejected == slow_rejected[:-1]
