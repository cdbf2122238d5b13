import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cf_pipeline.errors import DataError
from cf_pipeline.vectors import IndexedVectors, indexed, unit_norm

values = st.floats(-1e6, 1e6, width=32).filter(lambda v: v == 0 or abs(v) > 1e-6)
matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 8), st.integers(1, 6)), elements=values
)
ids = st.text(min_size=1, max_size=4)


class TestUnitNorm:
    @given(matrices)
    @settings(deadline=None)
    def test_length_one_same_direction_and_zero_stays_zero(self, vectors):
        scaled = unit_norm(vectors)
        assert (scaled.shape, scaled.dtype) == (vectors.shape, np.float32)
        is_zero = ~vectors.any(axis=1)
        assert not scaled[is_zero].any()
        assert np.linalg.norm(scaled[~is_zero], axis=1) == pytest.approx(1, abs=1e-5)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        assert scaled * lengths == pytest.approx(vectors, rel=1e-4, abs=1e-6)

    @given(matrices)
    @settings(deadline=None)
    def test_twice_is_once(self, vectors):
        once = unit_norm(vectors)
        assert unit_norm(once) == pytest.approx(once, abs=1e-6)

    def test_the_input_is_left_alone(self):
        vectors = np.array([[3.0, 4.0]], dtype=np.float32)
        assert unit_norm(vectors).tolist() == [[np.float32(0.6), np.float32(0.8)]]
        assert vectors.tolist() == [[3.0, 4.0]]


class TestIndexedVectors:
    @given(matrices, st.data())
    @settings(deadline=None)
    def test_rows_are_looked_up_by_id(self, vectors, data):
        n = len(vectors)
        names = data.draw(st.lists(ids, min_size=n, max_size=n, unique=True))
        given = IndexedVectors(tuple(names), vectors)
        assert given.n_dimensions == vectors.shape[1]
        rows = data.draw(st.lists(st.integers(0, n - 1), max_size=12) if n else st.just([]))
        assert np.array_equal(given.rows([names[row] for row in rows]), vectors[rows])

    def test_an_unknown_id_is_named(self):
        given = IndexedVectors(("a", "b"), np.zeros((2, 3), dtype=np.float32))
        with pytest.raises(DataError, match="2 of 3 ids have no vector, the first is 'x'"):
            given.rows(["a", "x", "y"])

    @pytest.mark.parametrize(
        ("names", "vectors", "message"),
        [
            (("a",), np.zeros((2, 3)), r"1 ids, vectors of shape \(2, 3\)"),
            (("a",), np.zeros(1), r"1 ids, vectors of shape \(1,\)"),
            (("a", "a"), np.zeros((2, 3)), "2 given, 1 different"),
            (("a", "b"), np.array([[0, np.nan], [0, 0]]), "1 of 2 vectors hold NaN"),
            (("a", "b"), np.array([[0, np.inf], [-np.inf, 0]]), "2 of 2 vectors hold NaN"),
        ],
    )
    def test_what_is_no_such_thing(self, names, vectors, message):
        with pytest.raises(DataError, match=message):
            IndexedVectors(names, vectors.astype(np.float32))


class TestTables:
    @given(matrices, st.data(), st.sampled_from([pl.List, pl.Array]))
    @settings(deadline=None)
    def test_a_table_and_back_whatever_the_order(self, vectors, data, kind):
        n, d = vectors.shape
        names = data.draw(st.lists(ids, min_size=n, max_size=n, unique=True))
        dtype = pl.List(pl.Float32) if kind is pl.List else pl.Array(pl.Float32, d)
        table = pl.DataFrame({
            "id": pl.Series(names, dtype=pl.String),
            "vector": pl.Series(vectors.tolist(), dtype=dtype),
        })
        found = indexed(table, "id", "vector")
        assert list(found.ids) == sorted(names)
        assert np.array_equal(found.rows(names), vectors if n else found.vectors)
        assert indexed(table.reverse(), "id", "vector").ids == found.ids

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([[1.0], [1.0, 2.0]], r"lengths \[1, 2\], expected one"),
            ([[1.0, 2.0], None], r"lengths \[2, None\], expected one"),
            ([None, None], r"lengths \[None\], expected one"),
            ([[1.0, 2.0], [1.0, None]], "1 of 2 vectors hold NaN"),
        ],
    )
    def test_vectors_that_differ_or_are_missing(self, rows, message):
        table = pl.DataFrame({"id": ["a", "b"], "v": pl.Series(rows, dtype=pl.List(pl.Float32))})
        with pytest.raises(DataError, match=message):
            indexed(table, "id", "v")

    def test_an_id_twice(self):
        table = pl.DataFrame({"id": ["a", "a"], "v": [[1.0], [2.0]]})
        with pytest.raises(DataError, match="must be unique"):
            indexed(table, "id", "v")
