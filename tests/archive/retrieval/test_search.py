"""Search finds what brute force finds, through every path; an inexact index says how much it finds."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from casewise.archive.retrieval import index_files
from casewise.archive.retrieval.index import build, extend
from casewise.archive.retrieval.index_files import current_index, load, save
from casewise.archive.retrieval.search import Passed, mean, top_k
from casewise.archive.retrieval.vectors import VectorStore
from casewise.errors import ArchiveError


def brute_force(query: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Cosines in float64, zeros for vectors of zeros."""
    base, query = base.astype(np.float64), query.astype(np.float64)
    lengths = np.linalg.norm(base, axis=1) * np.linalg.norm(query)
    return np.divide(base @ query, lengths, out=np.zeros(len(base)), where=lengths > 0)


def check_exact(query, base, k, scores, rows, allowed=None) -> None:
    """The k best, ties in any order; every score is that of its row."""
    truth = brute_force(query, base)
    allowed = np.arange(len(base)) if allowed is None else np.asarray(allowed, np.int64)
    assert len(set(rows.tolist())) == len(rows) == min(k, len(allowed))
    assert np.isin(rows, allowed).all()
    np.testing.assert_allclose(scores, truth[rows], atol=1e-6)
    np.testing.assert_allclose(scores, np.sort(truth[allowed])[::-1][:k], atol=1e-6)
    assert (np.diff(scores) <= 0).all()


def clustered(n: int, dimension: int = 32, seed: int = 0, spread: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(40, dimension))
    return (centres[rng.integers(0, 40, n)] + spread * rng.normal(size=(n, dimension))).astype(np.float32)


values = st.floats(-1000, 1000, width=32, allow_subnormal=False).map(lambda x: 0.0 if abs(x) < 1e-3 else x)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_search_without_an_index_equals_brute_force(data) -> None:
    n, dimension = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 6))
    base = data.draw(hnp.arrays(np.float32, (n, dimension), elements=values))
    queries = data.draw(hnp.arrays(np.float32, (data.draw(st.integers(1, 9)), dimension), elements=values))
    k = data.draw(st.integers(1, 45))
    allowed = data.draw(st.lists(st.integers(0, n - 1), unique=True))
    scores, rows = top_k(queries, base, k)
    for query, query_scores, query_rows in zip(queries, scores, rows, strict=True):
        check_exact(query, base, k, query_scores, query_rows)
    scores, rows = top_k(queries[:1], base, k, rows=allowed)
    check_exact(queries[0], base, k, scores[0], rows[0], allowed)
    left = np.setdiff1d(np.arange(n), allowed)
    _, chosen = top_k(queries[:1], base, k, rows=left)
    _, others_excluded = top_k(queries[:1], base, k, exclude=allowed)
    np.testing.assert_array_equal(chosen, others_excluded)


def test_the_same_vector_is_found_first_with_score_one() -> None:
    base = clustered(3_000)
    for index in (None, build(base)):
        scores, rows = top_k(base[17] * 5, base, 3, index=index)
        assert rows[0, 0] == 17
        assert scores[0, 0] == 1.0


def test_equal_scores_come_by_row_number() -> None:
    base = np.tile(np.float32([[1, 2, 3]]), (50, 1))
    for index in (None, build(base)):
        assert top_k([1, 2, 3], base, 4, rows=np.arange(49, 9, -1), index=index)[1].tolist() == [[10, 11, 12, 13]]


def test_cells_find_what_they_say_they_find() -> None:
    base = clustered(30_000, spread=0.8)
    index = build(base)
    assert 0.995 <= index.recall <= 1
    assert index.cells < index.faiss_index.nlist
    queries = clustered(100, seed=5, spread=0.8)
    truth, _ = top_k(queries, base, 10)
    found, rows = top_k(queries, base, 10, index=index)
    assert np.mean(found >= truth[:, -1:]) >= 0.98
    for query, scores, numbers in zip(queries, found, rows, strict=True):  # what is found has its true score
        np.testing.assert_allclose(scores, brute_force(query, base)[numbers], atol=1e-6)


def test_cells_with_a_filter_find_allowed_rows_only_and_as_many() -> None:
    base = clustered(30_000, spread=0.8)
    index = build(base)
    queries = clustered(50, seed=5, spread=0.8)
    allowed = np.arange(0, 30_000, 4)
    truth, _ = top_k(queries, base, 10, rows=allowed)
    found, rows = top_k(queries, base, 10, rows=allowed, index=index)
    assert (rows % 4 == 0).all()
    assert np.mean(found >= truth[:, -1:]) >= 0.98


def test_rows_the_index_does_not_know_are_found_and_added() -> None:
    base = clustered(12_000)
    known = np.setdiff1d(np.arange(10_000), np.arange(50, 60))
    index = build(base, known)
    for query_row in (55, 11_000):
        scores, rows = top_k(base[query_row], base, 5, index=index)
        assert (rows[0, 0], scores[0, 0]) == (query_row, 1.0)
    grown = extend(index, base, np.setdiff1d(np.arange(12_000), known))
    assert len(grown) == 12_000
    assert len(grown.unknown(12_000, None)) == 0
    for query_row in (55, 11_000, 60, 49):
        scores, rows = top_k(base[query_row], base, 5, index=grown)
        assert (rows[0, 0], scores[0, 0]) == (query_row, 1.0)
        assert 58 not in top_k(base[58], base, 5, exclude=[58], index=grown)[1]


def test_the_index_is_a_function_of_the_seed() -> None:
    base = clustered(5_000, spread=0.8)
    first, second = (build(base, seed=3) for _ in range(2))
    assert (first.recall, first.cells) == (second.recall, second.cells)
    rows, same = (top_k(base[:20], base, 9, index=index)[1] for index in (first, second))
    np.testing.assert_array_equal(rows, same)


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ([1, 2], {}, "3 numbers"),
        ([1, 2, np.nan], {}, "not finite"),
        ([1, 2, 3], {"k": 0}, "k = 0"),
        ([1, 2, 3], {"rows": [5]}, "from 0 to 4"),
        ([1, 2, 3], {"exclude": [-1]}, "from 0 to 4"),
        ([1, 2, 3], {"rows": np.ones(4, bool)}, "one value a row"),
    ],
)
def test_a_wrong_call_is_one_sentence(query, options, words) -> None:
    with pytest.raises(ArchiveError, match=words):
        top_k(query, np.ones((5, 3), np.float32), **{"k": 1, **options})


def test_damaged_vectors_are_named_not_ranked() -> None:
    base = clustered(100)
    base[41, 3] = np.nan
    with pytest.raises(ArchiveError, match="Row 41"):
        top_k(np.ones(32), base, 3)
    assert top_k(np.ones(32), base, 3, exclude=[41])[1].shape == (1, 3)


def test_nothing_to_search_finds_nothing() -> None:
    assert top_k(np.ones((2, 3)), np.empty((0, 3), np.float32), 4)[0].shape == (2, 0)
    assert top_k(np.ones((2, 3)), np.ones((5, 3), np.float32), 4, rows=[])[1].shape == (2, 0)


@pytest.fixture
def store(tmp_path: Path) -> VectorStore:
    made = VectorStore.open(tmp_path, "abc", 32)
    made.write(0, clustered(6_000))
    return made


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux counts a mapped file's pages in memory")
def test_what_passes_by_leaves_no_page_in_memory(tmp_path: Path) -> None:
    store = VectorStore.open(tmp_path, "abc", 512)
    store.write(0, np.ones((10_000, 512), np.float32))

    def resident() -> int:
        """KiB of the file of vectors."""
        lines = Path("/proc/self/smaps").read_text().splitlines()
        starts = [number for number, line in enumerate(lines) if line.endswith(str(store.path))]
        return sum(int(next(line for line in lines[start:] if line.startswith("Rss:")).split()[1]) for start in starts)

    base = store.rows()
    assert mean(base, np.arange(10_000))[0] == 1 and resident() > 19_000
    assert mean(Passed(base), np.arange(10_000))[0] == 1 and resident() < 1_000
    build(base)
    assert resident() < 1_000


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_files, "CELLS_FROM", 1_000)


def test_few_vectors_need_no_index(store: VectorStore) -> None:
    assert current_index(store) is None
    assert len(list(store.folder.iterdir())) == 2


def test_the_index_is_kept_grown_and_remade(store: VectorStore, small_limits: None, monkeypatch) -> None:
    first = current_index(store)
    files = sorted(path.name for path in store.folder.iterdir())
    assert len(first) == 6_000
    assert len(files) == 4
    monkeypatch.setattr(index_files, "build", None)  # from here on nothing is made anew
    current_index(store)
    assert sorted(path.name for path in store.folder.iterdir()) == files
    store.write(6_000, clustered(1_000, seed=8))
    assert len(current_index(store)) == 6_000
    store.write(7_000, clustered(2_000, seed=9))
    assert len(current_index(store)) == 9_000
    assert len(list(store.folder.iterdir())) == 4
    again, base, query = load(store, store.rows()), store.rows(), clustered(1, seed=4)
    assert again is not None and again.trained_on == 6_000
    np.testing.assert_array_equal(top_k(query, base, 5, index=again)[1], top_k(query, base, 5)[1])
    store.write(9_000, clustered(3_000, seed=10))
    monkeypatch.undo()
    monkeypatch.setattr(index_files, "CELLS_FROM", 1_000)
    assert current_index(store).trained_on == 12_000  # twice as many as the cells were made from


def test_an_earlier_versions_copy_of_the_vectors_is_made_anew(store: VectorStore, small_limits: None) -> None:
    current_index(store)
    description = store.folder / "abc.index.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), "exact": True}))
    assert load(store, store.rows()) is None
    assert current_index(store) is not None


def test_only_committed_rows_are_indexed(store: VectorStore, small_limits: None) -> None:
    committed = np.setdiff1d(np.arange(6_000), np.arange(100, 200))
    index = current_index(store, committed)
    np.testing.assert_array_equal(index.rows, committed)
    np.testing.assert_array_equal(load(store, store.rows()).rows, committed)
    store.write(100, clustered(100, seed=9))
    scores, rows = top_k(store.rows([150]), store.rows(), 1, index=index)
    assert (rows[0, 0], scores[0, 0]) == (150, 1.0)


@pytest.mark.parametrize("damage", ["cut", "gone", "words", "other vectors", "runs"])
def test_a_damaged_index_is_made_anew(store: VectorStore, small_limits: None, damage: str) -> None:
    current_index(store)
    description = store.folder / "abc.index.json"
    (file,) = store.folder.glob("*.faiss")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "gone":
        file.unlink()
    elif damage == "words":
        description.write_text("not JSON")
    elif damage == "runs":
        description.write_text(json.dumps({**json.loads(description.read_text()), "runs": [[0, 10_000]]}))
    else:
        store.write(0, clustered(6_000, seed=5))
    assert load(store, store.rows()) is None
    index = current_index(store)
    assert load(store, store.rows()) is not None
    query = clustered(1, seed=4)
    scores, rows = top_k(query, store.rows(), 5, index=index)
    check_exact(query[0], store.rows(), 5, scores[0], rows[0])


def test_an_index_that_cannot_be_kept_still_serves(store: VectorStore, small_limits: None, caplog) -> None:
    index = build(store.rows())
    blocked = VectorStore(store.folder / "abc.f32", "abc", 32)  # a file where the folder should be
    assert save(blocked, index, store.rows()) is index
    assert "cannot be kept" in caplog.text
