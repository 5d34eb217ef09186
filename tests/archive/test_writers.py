"""Eight writers at once, on each database: nothing is lost, nothing is there twice, and what is kept for searches follows."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive, Selection
from casewise.archive.label_rows import Held
from casewise.image import Image
from casewise.server.label_names import names_for
from tests.image_trees import MeanEncoder, picture
from tests.postgresql import postgresql_server

if not hasattr(os, "fork"):
    pytest.skip("processes are forked here", allow_module_level=True)

_FORK = multiprocessing.get_context("fork")
_WRITERS, _TURNS, _OWN, _SHARED = 8, 3, 4, 3


@pytest.fixture(params=["sqlite", "postgresql"])
def folder(request: pytest.FixtureRequest, tmp_path: Path):
    """The folder of an empty archive."""
    with ExitStack() as closing:
        if request.param == "postgresql":
            pytest.importorskip("psycopg")
        url = closing.enter_context(postgresql_server()) if request.param == "postgresql" else None
        Archive.open(tmp_path / "archive", create=True, database=url).close()
        yield tmp_path / "archive"


def _write(archive: Path, files: Path, writer: int) -> None:
    """Import images of one's own and some that every writer imports, record a result of each, and say more of some."""
    with Archive.open(archive) as opened:
        for turn in range(_TURNS):
            place = files / f"{writer}-{turn}"
            for number in range(_SHARED):
                picture(place / f"shared{number}.png", 100 * turn + number)
            for number in range(_OWN):
                picture(place / f"own{number}.png", 10_000 * (writer + 1) + 100 * turn + number)
            keys = opened.import_paths([place], encoder=MeanEncoder(), site="film").keys
            opened.record_results([({"headline": f"{writer} {turn} {key}"}, key) for key in keys])
            opened.categorise(keys[:2], "seen")
            opened.add_masks(keys[0], opened.case(keys[0]).image, {f"by {writer}": np.eye(16, dtype=bool)})


def test_nothing_is_lost_and_nothing_is_there_twice(folder: Path, tmp_path: Path) -> None:
    with Archive.open(folder) as reader:
        query = Image(np.full((1, 16, 16), 7, np.uint8), header={"spacing_known": False, "age": 40.0, "manufacturer": "ACME"})
        processes = [_FORK.Process(target=_write, args=(folder, tmp_path / "files", writer)) for writer in range(_WRITERS)]
        for process in processes:
            process.start()
        while any(process.is_alive() for process in processes):  # searched while it is written
            found = reader.similar(query, k=5, by=("latent",), encoder=MeanEncoder())
            assert len({case.key for case in found}) == len(found)
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * _WRITERS
        count = _TURNS * (_SHARED + _WRITERS * _OWN)
        keys, rows, base = reader.vectors(MeanEncoder())
        assert len(reader) == len(set(keys)) == len(keys) == count
        assert sorted(rows.tolist()) == list(range(count))
        for case, row in [(reader.case(key), row) for key, row in zip(keys[::9], rows[::9], strict=True)]:
            np.testing.assert_allclose(base[row], MeanEncoder().encode([case.image])[0])
        texts = Counter(str(document["headline"]) for document in reader.results())
        assert len(texts) == texts.total() == _WRITERS * _TURNS * (_OWN + _SHARED)
        masks = Counter(name for names in reader.mask_names().values() for name in names)
        assert set(masks) == {f"by {writer}" for writer in range(_WRITERS)}
        _check_searches(reader, query, count)


def _check_searches(archive: Archive, query: Image, count: int) -> None:
    """By columns that each database has its own words for."""
    everything = Selection(categories=frozenset({"seen"}), axes=2, masked=True)
    chosen = {record.key for record in archive.images() if record.category == "seen" and len(record.shape) == 2}
    chosen &= {key for key, names in archive.mask_names().items() if names}
    assert archive.count(everything) == len(chosen) > 0
    assert {case.key for case in archive.similar(query, k=99, encoder=MeanEncoder(), where=everything)} == chosen
    assert archive.count(Selection(axes=3)) == 0 and len(archive.cases(where=everything)) == len(chosen)
    pixels = np.random.default_rng(1).integers(0, 99, (1, 9, 9)).astype(np.uint8)
    old = archive.add(Image(pixels, header={"age": 41.0}), content={"manufacturer": "Acme", "pathology": None, "spread": [1, "x"]})
    new = archive.add(Image(pixels + 1), content={"manufacturer": "other", "age": 40})
    found = archive.similar(query, k=2, by=("content",))
    assert [(case.key, case.content) for case in found] == [(old, 0.5), (new, 0.5)] and len(archive) == count + 2
    assert archive.similar(query, k=1, by=("content",), where=Selection(among=frozenset({old})))[0].content == pytest.approx(0.5)


def _accept(archive: Path, keys: list[str], person: int, start: object) -> None:
    with Archive.open(archive) as opened:
        for key in keys:
            image, mask = opened.case(key).image, np.eye(16, k=person, dtype=bool)
            start.wait(60)  # type: ignore[attr-defined]
            opened.add_masks(key, image, {"disc": mask}, origin={"user": f"p{person}"}, names=names_for(f"p{person}"))


def test_everybodys_mask_is_kept_where_several_accept_at_once(folder: Path, tmp_path: Path) -> None:
    people, start = 4, _FORK.Barrier(4)
    with Archive.open(folder) as archive:
        keys = [archive.add(picture(tmp_path / f"{number}.png", number)) for number in range(5)]
        processes = [_FORK.Process(target=_accept, args=(folder, keys, person, start)) for person in range(people)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * people
        for key in keys:
            held = {str(label["origin"]["user"]): str(label["name"]) for label in archive.labels(key)}  # type: ignore[index]
            assert held.keys() == {f"p{person}" for person in range(people)}
            assert sorted(name == "disc" for name in held.values()) == [False] * (people - 1) + [True]
            masks = archive.case(key).load_masks
            for person in range(people):
                assert np.array_equal(masks[held[f"p{person}"]](), np.eye(16, k=person, dtype=bool))


def test_what_a_naming_raises_keeps_nothing(folder: Path, tmp_path: Path) -> None:
    with Archive.open(folder) as archive:
        key = archive.add(picture(tmp_path / "one.png", 1), {"disc": np.eye(16, dtype=bool)})
        image, seen = archive.case(key).image, []

        def names(name: str, held: Held) -> list[str]:
            seen.append(list(held))
            if name == "b":
                raise LookupError(name)
            return [name]

        with pytest.raises(LookupError):
            archive.add_masks(key, image, {"a": np.eye(16, dtype=bool), "b": np.eye(16, dtype=bool)}, names=names)
        assert seen == [["disc"], ["disc"]] and list(archive.case(key).load_masks) == ["disc"]
