from __future__ import annotations

import gzip
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cf_pipeline.errors import DataError
from cf_pipeline.sources.judging import ReadCounts
from cf_pipeline.sources.reading import read_interactions, read_projects
from cf_pipeline_tests.sources.conftest import INTERACTION_COLUMNS, DatasetMaker

Con = duckdb.DuckDBPyConnection

ROWS = [
    ("u1", "01398047", "view", "2024-05-01T12:00:00", "1"),
    ("12345678901234567890123", "007", "like", "1714564800", "3"),
    ("ü2", "a,b", "view", None, "2"),
]
ALL_COLUMNS = INTERACTION_COLUMNS + '\noccurred_at = "time"\ncount = "times"'
HEADER = ["user", "project", "kind", "time", "times"]
EXPECTED = [
    ("u1", "01398047", "view", datetime(2024, 5, 1, 12), 1),
    ("12345678901234567890123", "007", "like", datetime(2024, 5, 1, 12), 3),
    ("ü2", "a,b", "view", None, 2),
]


def used(con: Con, table: str = "interactions") -> list[tuple[Any, ...]]:
    return con.execute(f"SELECT * FROM loaded_{table}").fetchall()


def rejected(con: Con, table: str = "interactions") -> list[tuple[int, str]]:
    """Row number and reason of the rows that were turned away."""
    return con.execute(f"SELECT row_number, reason FROM loaded_{table}_rejected").fetchall()


def delimited(delimiter: str, encoding: str = "utf-8") -> bytes:
    lines = [HEADER, *[["" if v is None else v for v in row] for row in ROWS]]
    quoted = [[f'"{v}"' if delimiter in v else v for v in line] for line in lines]
    return "".join(delimiter.join(line) + "\n" for line in quoted).encode(encoding)


def json_lines() -> bytes:
    lines = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    # Ids that are numbers keep their digits, however many.
    text = text.replace('"12345678901234567890123"', "12345678901234567890123")
    return text.replace('"times": "3"', '"times": 3').encode()


def zstd(con: Con, content: bytes, path: Path) -> None:
    """DuckDB is the only writer of zstd at hand: a file of one unquoted column of lines."""
    lines = content.decode().splitlines()
    con.execute("CREATE OR REPLACE TEMP TABLE lines (line VARCHAR)")
    con.executemany("INSERT INTO lines VALUES (?)", [[line] for line in lines])
    con.execute(
        f"COPY lines TO '{path}' (FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', "
        "ESCAPE '', COMPRESSION zstd)"
    )


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_every_text_format_and_compression(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path, suffix: str, compression: str
) -> None:
    content = {"csv": delimited(","), "tsv": delimited("\t"), "jsonl": json_lines()}[suffix]
    name = f"log.{suffix}{compression}"
    if compression == ".zst":
        zstd(con, content, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(gzip.compress(content) if compression else content)
    dataset = make_dataset(interactions=f'files = ["{name}"]', interaction_columns=ALL_COLUMNS)
    counts = read_interactions(con, dataset)
    assert (counts.read, counts.used, counts.rejected) == (3, 3, 0)
    assert used(con) == EXPECTED


def test_parquet_with_types_of_its_own(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    con.execute(
        "COPY (SELECT * FROM (VALUES ('01398047', 7::BIGINT, 'view'::ENUM('view', 'like'), "
        "TIMESTAMPTZ '2024-05-01 14:00:00+02', 2::USMALLINT)) AS t(user, project, kind, time, "
        f"times)) TO '{tmp_path}/log.parquet' (FORMAT parquet)"
    )
    con.execute("SET TimeZone = 'America/New_York'")
    dataset = make_dataset(interactions='files = ["log.parquet"]', interaction_columns=ALL_COLUMNS)
    read_interactions(con, dataset)
    assert used(con) == [("01398047", "7", "view", datetime(2024, 5, 1, 12), 2)]


def test_types_of_the_loaded_tables(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset()
    read_interactions(con, dataset)
    read_projects(con, dataset)

    def described(table: str) -> dict[str, str]:
        return {row[0]: row[1] for row in con.execute(f"DESCRIBE {table}").fetchall()}

    assert described("loaded_interactions") == {
        "user_id": "VARCHAR",
        "project_id": "VARCHAR",
        "kind": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "count": "BIGINT",
    }
    lists = {"owners": "VARCHAR[]", "tags": "VARCHAR[]"}
    texts = ["project_id", "title", "split_group", "stratum", "field", "subfield", "cover"]
    assert described("loaded_projects") == dict.fromkeys(texts, "VARCHAR") | lists
    names = {"file": "VARCHAR", "row_number": "BIGINT", "reason": "VARCHAR", "content": "VARCHAR"}
    assert described("loaded_interactions_rejected") == names
    assert described("loaded_projects_rejected") == names


def test_nothing_else_is_left_behind(make_dataset: DatasetMaker, con: Con) -> None:
    text = 'user,project,kind\nu1,p1,view\nu2,"p2,view\nbroken\n\nu3,p3,view\n'
    read_interactions(con, make_dataset({"interactions.csv": text}))
    tables = {row[0] for row in con.execute("SELECT name FROM (SHOW ALL TABLES)").fetchall()}
    assert tables == {"loaded_interactions", "loaded_interactions_rejected"}


def test_rows_that_cannot_be_used_say_where_and_why(make_dataset: DatasetMaker, con: Con) -> None:
    text = (
        "user,project,kind,time,times\n"
        "u1,p1,view,2024-05-01,1\n"
        ",p1,view,,1\n"
        "u1,,view,,1\n"
        "u1,p1,stare,,1\n"
        "u1,p1,,,1\n"
        "\n"
        "u1,p1,view,,0\n"
        "u1,p1,view,,2.5\n"
        "u1,p1,view,,many\n"
        "u1,p1,view,,\n"
        "u1,p1\n"
        "u1,p1,view,,1,extra\n"
        "u1,p1,view,yesterday,1\n"
        "u1,p1,view,1714564800000,1\n"
        "u1,p1,view,,4\n"
    )
    dataset = make_dataset({"interactions.csv": text}, interaction_columns=ALL_COLUMNS)
    counts = read_interactions(con, dataset)
    assert counts.by_reason == {
        "count not a positive whole number": 4,
        "broken line": 2,
        "time unreadable": 2,
        "unknown kind": 2,
        "no project": 1,
        "no user": 1,
    }
    assert (counts.read, counts.used, counts.rejected) == (14, 2, 12)
    assert rejected(con) == [
        (3, "no user"),
        (4, "no project"),
        (5, "unknown kind"),
        (6, "unknown kind"),
        (8, "count not a positive whole number"),
        (9, "count not a positive whole number"),
        (10, "count not a positive whole number"),
        (11, "count not a positive whole number"),
        (12, "broken line"),
        (13, "broken line"),
        (14, "time unreadable"),
        (15, "time unreadable"),
    ]
    contents = [
        json.loads(row[0])
        for row in con.execute("SELECT content FROM loaded_interactions_rejected").fetchall()
    ]
    assert contents[2]["kind"] == "stare"
    assert contents[8] == {"line": "u1,p1"}
    files = con.execute("SELECT DISTINCT file FROM loaded_interactions_rejected").fetchall()
    assert files == [("interactions.csv",)]


def test_rows_of_parquet_and_json_lines_have_their_place(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"user": "u1", "project": "p1", "kind": "view"}\n'
        "\n"
        '{"user": null, "project": "p1", "kind": "view"}\n'
        '{"user": "u1", "project": \n'
        '["u1", "p1", "view"]\n'
        '{"user": "u1", "kind": "view"}\n'
    )
    con.execute(
        "COPY (SELECT * FROM (VALUES ('u1', 'p1', 'view'), ('u1', ' ', 'view'), "
        "(NULL, 'p1', 'view')) AS t(user, project, kind)) "
        f"TO '{tmp_path}/b.parquet' (FORMAT parquet)"
    )
    counts = read_interactions(con, make_dataset(interactions='files = ["b.parquet", "a.jsonl"]'))
    assert (counts.read, counts.used) == (8, 2)
    assert [file.n_rows for file in counts.files] == [5, 3]
    assert rejected(con) == [
        (3, "no user"),
        (4, "broken line"),
        (5, "broken line"),
        (6, "no project"),
        (2, "no project"),
        (3, "no user"),
    ]


def test_a_quote_that_does_not_close_costs_its_line_only(
    make_dataset: DatasetMaker, con: Con
) -> None:
    lines = [f"u{i},p{i},view" for i in range(100_000)]
    lines[10] = 'u10,"p10,view'
    text = "user,project,kind\n" + "\n".join(lines) + "\n"
    counts = read_interactions(con, make_dataset({"interactions.csv": text}))
    assert (counts.read, counts.used, counts.rejected) == (100_000, 99_999, 1)
    assert rejected(con) == [(12, "broken line")]


def test_quoted_values_may_run_over_lines(make_dataset: DatasetMaker, con: Con) -> None:
    text = 'project,picture,text\np1,a.png,"one\n\ntwo, ""three"""\np2,b.png,"x\np3,c.png,z\n'
    dataset = make_dataset(
        {"projects.csv": text},
        project_columns='project_id = "project"\ncover = "picture"\ntitle = "text"',
    )
    read_projects(con, dataset)
    titles = con.execute("SELECT project_id, title FROM loaded_projects").fetchall()
    assert titles == [("p1", 'one\n\ntwo, "three"'), ("p3", "z")]
    assert rejected(con, "projects") == [(5, "broken line")]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "mixed"])
def test_line_ends(make_dataset: DatasetMaker, con: Con, ends: str) -> None:
    text = "user,project,kind\r\nu1,p1,view\nu2,p2,like\r\n"
    if ends != "mixed":
        text = text.replace("\r\n", "\n").replace("\n", ends)
    read_interactions(con, make_dataset({"interactions.csv": text.encode()}))
    assert [row[:3] for row in used(con)] == [("u1", "p1", "view"), ("u2", "p2", "like")]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_encodings(make_dataset: DatasetMaker, con: Con, encoding: str) -> None:
    content = delimited(",", encoding)
    dataset = make_dataset(
        {"log.csv": content},
        interactions=f'files = ["log.csv"]\nencoding = "{encoding}"',
        interaction_columns=ALL_COLUMNS,
    )
    read_interactions(con, dataset)
    assert used(con) == EXPECTED


def test_latin_1_taken_for_utf_8_is_rejected_line_by_line(
    make_dataset: DatasetMaker, con: Con
) -> None:
    dataset = make_dataset({"interactions.csv": delimited(",", "latin-1")})
    counts = read_interactions(con, dataset)
    assert (counts.used, counts.by_reason) == (2, {"broken line": 1})
    assert rejected(con) == [(4, "broken line")]


def test_a_byte_order_mark_is_no_part_of_a_name(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset({"interactions.csv": b"\xef\xbb\xbfuser,project,kind\nu1,p1,view\n"})
    assert read_interactions(con, dataset).used == 1


def test_delimiter_of_two_characters_without_header_or_quotes(
    make_dataset: DatasetMaker, con: Con
) -> None:
    dataset = make_dataset(
        {"movies.dat": 'm1::The "Am\xe9lie" (2001)::a.png\n'.encode("latin-1")},
        projects='files = ["movies.dat"]\nformat = "csv"\ndelimiter = "::"\nquote = ""\n'
        'encoding = "latin-1"\nheader = false\nnames = ["id", "title", "file"]',
        project_columns='project_id = "id"\ncover = "file"\ntitle = "title"\n'
        r"""split_group = '''regexp_extract(title, '\((\d{4})\)', 1)'''""",
    )
    read_projects(con, dataset)
    row = con.execute("SELECT title, split_group FROM loaded_projects").fetchone()
    assert row == ('The "Amélie" (2001)', "2001")


def test_a_null_text_and_an_escape(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset(
        {"log.csv": 'user,project,kind,time,times\n"a\\"b",p1,view,\\N,1\n\\N,p1,view,,1\n'},
        interactions="""files = ["log.csv"]\nnull = '\\N'\nescape = '\\'""",
        interaction_columns=ALL_COLUMNS,
    )
    read_interactions(con, dataset)
    assert used(con) == [('a"b', "p1", "view", None, 1)]
    assert rejected(con) == [(3, "no user")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-01", datetime(2024, 5, 1)),
        ("2024-05-01 10:00:00.25", datetime(2024, 5, 1, 10, 0, 0, 250_000)),
        ("2024-05-01T10:00:00Z", datetime(2024, 5, 1, 10)),
        ("2024-05-01T10:00:00+02:00", datetime(2024, 5, 1, 8)),
        ("2024-05-01 10:00:00-0530", datetime(2024, 5, 1, 15, 30)),
        ("1714564800.5", datetime(2024, 5, 1, 12, 0, 0, 500_000)),
        (" 0 ", datetime(1970, 1, 1)),
        ("infinity", None),
        ("nan", None),
        ("2024-13-01", None),
    ],
)
def test_times_do_not_depend_on_the_session(
    make_dataset: DatasetMaker, con: Con, text: str, expected: datetime | None
) -> None:
    con.execute("SET TimeZone = 'Asia/Tokyo'")
    content = f'user,project,kind,time,times\nu,p,view,"{text}",1\nu,p,view,,1\n'
    dataset = make_dataset({"interactions.csv": content}, interaction_columns=ALL_COLUMNS)
    read_interactions(con, dataset)
    times = [row[3] for row in used(con)]
    assert times == ([expected, None] if expected else [None])


def test_owners_and_tags_from_a_text_a_list_and_json(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    columns = 'project_id = "id"\ncover = "c"\nowners = "who"\ntags = "tags"'
    (tmp_path / "a.jsonl").write_text(
        '{"id": 1, "c": "a", "who": ["x", "", "y"], "tags": "one"}\n'
        '{"id": 2, "c": "a", "who": "[solo", "tags": []}\n'
    )
    con.execute(
        "COPY (SELECT 3 AS id, 'a' AS c, ['x', NULL, 'z'] AS who, 't' AS tags) "
        f"TO '{tmp_path}/b.parquet' (FORMAT parquet)"
    )
    (tmp_path / "c.csv").write_text("id,c,who,tags\n4,a,x y,\n")
    dataset = make_dataset(
        projects='files = ["a.jsonl", "b.parquet", "c.csv"]', project_columns=columns
    )
    read_projects(con, dataset)
    assert con.execute("SELECT project_id, owners, tags FROM loaded_projects").fetchall() == [
        ("1", ["x", "y"], ["one"]),
        ("2", ["[solo"], None),
        ("3", ["x", "z"], ["t"]),
        ("4", ["x y"], None),
    ]


def test_of_projects_with_one_id_the_first_is_kept(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset(
        {"a.csv": "project,picture\np1,first\n,x\np2,\n", "b.csv": "project,picture\np1,second\n"},
        projects='files = ["*.csv"]'.replace("*", "[ab]"),
    )
    counts = read_projects(con, dataset)
    assert counts.by_reason == {"duplicate project": 1, "no project": 1}
    covers = con.execute("SELECT project_id, cover FROM loaded_projects").fetchall()
    assert covers == [("p1", "first"), ("p2", None)]
    rows = con.execute(
        "SELECT file, row_number, content::JSON->>'cover' FROM loaded_projects_rejected"
    ).fetchall()
    assert rows == [("a.csv", 3, "x"), ("b.csv", 2, "second")]


def test_events_are_not_deduplicated(make_dataset: DatasetMaker, con: Con) -> None:
    text = "user,project,kind\n" + "u1,p1,view\n" * 3
    assert read_interactions(con, make_dataset({"interactions.csv": text})).used == 3


def test_expressions_run_over_the_columns_of_a_file(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset(
        {"log.csv": "User Id,film,stars\n1,7,4.5\n2,8,3\n"},
        interactions='files = ["log.csv"]',
        interaction_columns=(
            'user_id = "User Id"\n'
            """project_id = "lpad(film, 4, '0') -- a comment"\n"""
            "kind = \"CASE WHEN TRY_CAST(stars AS DOUBLE) >= 4 THEN 'like' ELSE 'view' END\""
        ),
    )
    read_interactions(con, dataset)
    assert [row[:3] for row in used(con)] == [("1", "0007", "like"), ("2", "0008", "view")]


def test_columns_match_but_for_letter_case(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset({"interactions.csv": "User,PROJECT,kind\nu1,p1,view\n"})
    assert read_interactions(con, dataset).used == 1


def test_repeated_and_empty_names_of_columns(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset({"interactions.csv": ",user,User,project,kind\n0,u1,x,p1,view\n"})
    counts = read_interactions(con, dataset)
    assert counts.files[0].columns == ("column0", "user", "User_2", "project", "kind")
    assert used(con)[0][0] == "u1"


def test_keys_of_json_that_differ_in_case_or_look_odd(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset(
        {"a.jsonl": '{"id": 1, "ID": 2, "a/b~c": "p", "line": "view", "": 0}\n'},
        interactions='files = ["a.jsonl"]',
        interaction_columns='user_id = "ID"\nproject_id = "a/b~c"\nkind = "line"',
    )
    counts = read_interactions(con, dataset)
    assert counts.files[0].columns == ("column0", "ID", "a/b~c", "id_2", "line")
    assert [row[:3] for row in used(con)] == [("2", "p", "view")]


def test_empty_lines_before_the_names(make_dataset: DatasetMaker, con: Con) -> None:
    text = "\n\nuser,project,kind\n\nu1,p1,view\n,p2,view\n"
    read_interactions(con, make_dataset({"interactions.csv": text}))
    assert [row[:3] for row in used(con)] == [("u1", "p1", "view")]
    assert rejected(con) == [(6, "no user")]


def test_more_broken_lines_than_fit_a_batch(make_dataset: DatasetMaker, con: Con) -> None:
    text = 'user,project,kind\nu1,p1,view\n"\n' + "x\n" * 50_000
    counts = read_interactions(con, make_dataset({"interactions.csv": text}))
    assert counts.by_reason == {"broken line": 50_001}


def read_error(make_dataset: DatasetMaker, con: Con, files: dict[str, Any], **parts: str) -> str:
    dataset = make_dataset(files, **parts)
    con.execute("CREATE TABLE precious AS SELECT 42 AS answer")
    with pytest.raises(DataError) as caught:
        read_interactions(con, dataset)
    # What was there before is still readable.
    assert con.execute("FROM precious").fetchall() == [(42,)]
    return str(caught.value)


def test_a_missing_column(make_dataset: DatasetMaker, con: Con) -> None:
    files = {"interactions.csv": "usr,project,kind\nu1,p1,view\n"}
    message = read_error(make_dataset, con, files)
    assert "interactions.csv has no column 'user', which interactions.columns.user_id" in message
    assert "Columns found: usr, project, kind" in message
    assert "Did you mean 'usr'?" in message
    assert "Correct interactions.columns.user_id in dataset.toml" in message


def test_a_missing_column_of_json_lines_and_parquet(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"usr": 1, "project": 2, "kind": "view"}\n')
    con.execute(f"COPY (SELECT 1 AS usr) TO '{tmp_path}/b.parquet' (FORMAT parquet)")
    for name in ("a.jsonl", "b.parquet"):
        dataset = make_dataset(interactions=f'files = ["{name}"]')
        with pytest.raises(DataError, match=f"{name} has no column 'user'.*Did you mean 'usr'"):
            read_interactions(con, dataset)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("upper(usr)", r"Referenced column \"usr\" not found"),
        ("upper(", "syntax error"),
        ("no_such_function(user)", "no_such_function does not exist"),
        ("(SELECT max(name) FROM glob('/*'))", "a subquery"),
        ("user, project", "one expression"),
        ("user FROM glob('/*')", "one expression"),
        ("user WHERE false", "one expression"),
        ("user; SELECT 1", "one expression"),
        ("user; DROP TABLE precious", "Only SELECT"),
        ("user) FROM glob('/*') --", "syntax error"),
        ("count(*)", "GROUP BY"),
        ("max(user)", "GROUP BY"),
        ("row_number() OVER ()", "a window"),
        ("user + 1", r"TRY_CAST\(x AS DOUBLE\)"),
        ("$1 || user", r"holds \$"),
    ],
)
def test_an_expression_that_cannot_be_used(
    make_dataset: DatasetMaker, con: Con, expression: str, expected: str
) -> None:
    dataset = make_dataset(
        interaction_columns=f'user_id = "{expression}"\nproject_id = "project"\nkind = "kind"'
    )
    with pytest.raises(DataError, match=expected) as caught:
        read_interactions(con, dataset)
    message = str(caught.value)
    assert f"interactions.columns.user_id = {expression!r} is neither a column of" in message
    assert "interactions.csv" in message
    assert "Columns found: user, project, kind" in message


def test_an_expression_that_multiplies_rows_is_noticed(
    make_dataset: DatasetMaker, con: Con
) -> None:
    dataset = make_dataset(
        interaction_columns='user_id = "unnest([user, user])"\nproject_id = "project"\nkind="kind"'
    )
    with pytest.raises(DataError, match="does not give one value per row"):
        read_interactions(con, dataset)


def test_an_expression_that_fails_on_a_row(make_dataset: DatasetMaker, con: Con) -> None:
    message = read_error(
        make_dataset,
        con,
        {"interactions.csv": "user,project,kind\nu1,p1,view\n"},
        interaction_columns='user_id = "CAST(user AS INTEGER)"\nproject_id="project"\nkind="kind"',
    )
    assert "interactions.csv cannot be read" in message
    assert "Could not convert string 'u1'" in message
    assert "use TRY_CAST" in message


def test_a_bare_word_is_never_a_keyword_with_a_value(make_dataset: DatasetMaker, con: Con) -> None:
    message = read_error(
        make_dataset,
        con,
        {"interactions.csv": "usr,project,kind\nu1,p1,view\n"},
        interaction_columns='user_id = "current_user"\nproject_id = "project"\nkind = "kind"',
    )
    assert "has no column 'current_user'" in message


def test_a_time_of_a_type_that_holds_no_time(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    con.execute(
        "COPY (SELECT 1 AS user, 2 AS project, 'view' AS kind, true AS time) "
        f"TO '{tmp_path}/a.parquet' (FORMAT parquet)"
    )
    dataset = make_dataset(
        interactions='files = ["a.parquet"]',
        interaction_columns=INTERACTION_COLUMNS + '\noccurred_at = "time"',
    )
    with pytest.raises(DataError, match=r"occurred_at of a\.parquet has the type BOOLEAN"):
        read_interactions(con, dataset)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user,project,kind\n", "holds no rows, expected at least one"),
        ("\n\n", "empty lines only, expected a line of column names"),
        ("user,project,kind\n\n\n", "holds no rows"),
        ('"user,project,kind\nu1,p1,view\n', "first line cannot be taken to pieces"),
        ("user;project;kind\nu1;p1;view\n", "Columns found: user;project;kind"),
    ],
)
def test_files_without_rows_or_names(
    make_dataset: DatasetMaker, con: Con, text: str, expected: str
) -> None:
    message = read_error(make_dataset, con, {"interactions.csv": text})
    assert expected in message
    assert "interactions.csv" in message


def test_no_usable_row_shows_the_first(make_dataset: DatasetMaker, con: Con) -> None:
    files = {"interactions.csv": "user,project,kind\nu1,p1,stare\nu2,,view\n"}
    message = read_error(make_dataset, con, files)
    assert "None of the 2 rows of interactions.csv (interactions.files) can be used" in message
    assert "no project (1), unknown kind (1)" in message
    assert 'row 2: {"user_id":"u1","project_id":"p1","kind":"stare"}' in message


def test_no_rows_of_json_lines_and_parquet(
    make_dataset: DatasetMaker, con: Con, tmp_path: Path
) -> None:
    con.execute(
        "COPY (SELECT 'u' AS user, 'p' AS project, 'view' AS kind WHERE false) "
        f"TO '{tmp_path}/a.parquet' (FORMAT parquet)"
    )
    (tmp_path / "a.jsonl").write_text("\n")
    for name in ("a.parquet", "a.jsonl"):
        dataset = make_dataset(interactions=f'files = ["{name}"]')
        with pytest.raises(DataError, match=f"{name} .interactions.files. holds no rows"):
            read_interactions(con, dataset)


def test_json_lines_without_any_object(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset({"a.jsonl": "user,project,kind\n"}, interactions='files = ["a.jsonl"]')
    with pytest.raises(DataError, match=r"None of the 1 rows of a\.jsonl .* broken line"):
        read_interactions(con, dataset)


def test_a_damaged_stream(make_dataset: DatasetMaker, con: Con) -> None:
    text = "user,project,kind\n" + "".join(f"u{i},p{i},view\n" for i in range(5000))
    packed = gzip.compress(text.encode())
    dataset = make_dataset(
        {"log.csv.gz": packed[: len(packed) // 2]}, interactions='files = ["log.csv.gz"]'
    )
    with pytest.raises(DataError, match=r"log\.csv\.gz cannot be read as csv.*Export it again"):
        read_interactions(con, dataset)


def test_a_damaged_parquet_file(make_dataset: DatasetMaker, con: Con, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    con.execute(
        "COPY (SELECT 'u' || range AS user, 'p' AS project, 'view' AS kind FROM range(9000)) "
        f"TO '{path}' (FORMAT parquet)"
    )
    content = bytearray(path.read_bytes())
    content[10:2000] = b"\xff" * 1990
    path.write_bytes(content)
    dataset = make_dataset(interactions='files = ["a.parquet"]')
    with pytest.raises(DataError, match=r"a\.parquet cannot be read.*export the file again"):
        read_interactions(con, dataset)


def test_reading_again_replaces(make_dataset: DatasetMaker, con: Con) -> None:
    dataset = make_dataset()
    first = read_interactions(con, dataset)
    assert isinstance(first, ReadCounts)
    assert read_interactions(con, dataset) == first
    assert len(used(con)) == 2


def test_inside_a_transaction(make_dataset: DatasetMaker, con: Con) -> None:
    con.execute("BEGIN")
    read_interactions(con, make_dataset())
    con.execute("CREATE TABLE kept AS FROM loaded_interactions")
    con.execute("COMMIT")
    assert con.execute("SELECT count(*) FROM kept").fetchone() == (2,)
