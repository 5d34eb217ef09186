"""The store of vectors: what is written comes back, whoever else writes, dies or damages files."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casewise.archive.retrieval.vectors import VectorStore
from casewise.errors import ArchiveError


def vectors(n: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimension)).astype(np.float32)


def test_nothing_is_written_before_the_first_vector(tmp_path: Path) -> None:
    store = VectorStore.open(tmp_path / "vectors", "abc", 8)
    assert store.count == 0
    assert store.rows().shape == (0, 8)
    store.write(0, np.empty((0, 8)))
    assert not (tmp_path / "vectors").exists()


def test_rows_come_back_as_given_in_the_order_asked_for(tmp_path: Path) -> None:
    given_rows = vectors(10) * 1000
    VectorStore.open(tmp_path, "abc", 8).write(0, given_rows)
    store = VectorStore.open(tmp_path, "abc", 8)
    assert store.count == 10
    everything = store.rows()
    assert isinstance(everything, np.memmap)
    assert not everything.flags.writeable
    np.testing.assert_array_equal(everything, given_rows)
    np.testing.assert_array_equal(store.rows([7, 0, 7]), given_rows[[7, 0, 7]])
    assert store.rows([]).shape == (0, 8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_blocks_written_in_any_order_give_the_same_file(tmp_path_factory, sizes: list[int], random) -> None:
    folder = tmp_path_factory.mktemp("vectors")
    everything = vectors(sum(sizes))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    blocks = list(range(len(sizes)))
    random.shuffle(blocks)
    for block in blocks:
        first, last = starts[block], starts[block + 1]
        VectorStore.open(folder, "abc", 8).write(int(first), everything[first:last])
    np.testing.assert_array_equal(VectorStore.open(folder, "abc", 8).rows(), everything)


def test_encoders_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    VectorStore.open(tmp_path, "a", 4).write(0, np.ones((3, 4)))
    VectorStore.open(tmp_path, "b", 2).write(0, np.zeros((1, 2)))
    assert VectorStore.open(tmp_path, "a", 4).rows().sum() == 12
    assert VectorStore.open(tmp_path, "b", 2).count == 1


@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 7)), np.zeros(8), np.full((2, 8), np.nan), np.full((1, 8), np.inf), np.full((1, 8), 1e300)],
)
def test_wrong_vectors_change_nothing(tmp_path: Path, bad: np.ndarray) -> None:
    store = VectorStore.open(tmp_path, "abc", 8)
    store.write(0, vectors(3))
    before = store.path.read_bytes()
    with np.errstate(over="ignore"), pytest.raises(ArchiveError):
        store.write(1, bad)
    assert store.path.read_bytes() == before


def test_another_dimension_is_an_error_at_open_and_at_a_racing_write(tmp_path: Path) -> None:
    early = VectorStore.open(tmp_path, "abc", 4)
    VectorStore.open(tmp_path, "abc", 8).write(0, vectors(3))
    with pytest.raises(ArchiveError, match=r"have 8 numbers.* has 4"):
        VectorStore.open(tmp_path, "abc", 4)
    with pytest.raises(ArchiveError, match="8 numbers"):
        early.write(0, vectors(1, 4))


def test_a_file_cut_off_is_an_error_for_the_lost_rows_only(tmp_path: Path) -> None:
    store = VectorStore.open(tmp_path, "abc", 8)
    store.write(0, vectors(10))
    with store.path.open("r+b") as file:
        file.truncate(9 * 32 + 5)
    np.testing.assert_array_equal(store.rows(range(9)), vectors(10)[:9])
    with pytest.raises(ArchiveError, match="holds 9 vectors but row 9"):
        store.rows([3, 9])
    with pytest.raises(ArchiveError, match="row -1"):
        store.rows([-1])
    store.write(9, vectors(10)[9:])
    np.testing.assert_array_equal(store.rows(), vectors(10))


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "dimension": "x"}', "\x00\x01", '{"format": 9, "dimension": 8}'])
def test_a_damaged_or_newer_description_is_one_sentence(tmp_path: Path, text: str) -> None:
    VectorStore.open(tmp_path, "abc", 8).write(0, vectors(1))
    (tmp_path / "abc.json").write_text(text)
    with pytest.raises(ArchiveError) as caught:
        VectorStore.open(tmp_path, "abc", 8)
    assert "abc.json" in str(caught.value)


def test_rows_without_their_description_are_not_guessed_at(tmp_path: Path) -> None:
    VectorStore.open(tmp_path, "abc", 8).write(0, vectors(1))
    (tmp_path / "abc.json").unlink()
    with pytest.raises(ArchiveError, match="missing"):
        VectorStore.open(tmp_path, "abc", 8)


@pytest.mark.parametrize("key", ["", "../abc", "a/b", ".hidden", "a" * 200, "a\0b"])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ArchiveError):
        VectorStore.open(tmp_path, key, 8)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "vectors").write_text("a file where the folder should be")
    with pytest.raises(ArchiveError, match="cannot be written"):
        VectorStore.open(tmp_path / "vectors", "abc", 8).write(0, vectors(1))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    store = VectorStore.open(tmp_path, "abc", 8)
    store.write(0, vectors(1))
    store.path.unlink()
    store.path.symlink_to("/dev/full")
    with pytest.raises(ArchiveError, match="No space left"):
        store.write(1, vectors(1))


WRITER = """
import sys
import numpy as np
from pathlib import Path
from casewise.archive.retrieval.vectors import VectorStore
folder, start, step, blocks = Path(sys.argv[1]), *map(int, sys.argv[2:])
store = VectorStore.open(folder, "abc", 64)
block = 0
while blocks == 0 or block < blocks:
    first = (start + block * step) * 16
    store.write(first, np.arange(first, first + 16)[:, None] * np.ones((1, 64)))
    sys.stdout.write(f"{first}\\n")
    sys.stdout.flush()
    block += 1
"""


def writer(folder: Path, start: int, step: int, blocks: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder), str(start), str(step), str(blocks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_four_processes_write_into_one_file_at_once(tmp_path: Path) -> None:
    processes = [writer(tmp_path, start, 4, 20) for start in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    for process in processes:
        process.stdout.close()
    rows = VectorStore.open(tmp_path, "abc", 64).rows()
    np.testing.assert_array_equal(rows, np.arange(4 * 20 * 16)[:, None] * np.ones((1, 64)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["abc.f32", "abc.json"]


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_killed_writer_damages_no_row_it_had_returned_from(tmp_path: Path) -> None:
    written: list[int] = []
    for attempt in range(3):
        process = writer(tmp_path, attempt * 100_000, 1, 0)
        written.append(int(process.stdout.readline()))
        time.sleep(0.02 * attempt)
        process.send_signal(signal.SIGKILL)
        written += [int(line) for line in process.stdout if line.endswith("\n")]
        process.stdout.close()
        process.wait()
    store = VectorStore.open(tmp_path, "abc", 64)
    numbers = np.concatenate([np.arange(first, first + 16) for first in written])
    np.testing.assert_array_equal(store.rows(numbers), numbers[:, None] * np.ones((1, 64)))
    store.write(written[-1] + 16, np.ones((2, 64)))
    np.testing.assert_array_equal(store.rows(numbers), numbers[:, None] * np.ones((1, 64)))
