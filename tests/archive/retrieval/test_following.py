"""What an archive keeps in memory for its searches follows the catalogue, whoever writes it; so does a large one's index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive, Selection
from casewise.archive.retrieval import index_files
from casewise.image import Image
from tests.image_trees import MeanEncoder, paired, picture

_QUERY = Image(np.random.default_rng(7_000).integers(0, 255, (1, 16, 16)).astype(np.uint8), header={"spacing_known": False})


class PixelEncoder(MeanEncoder):
    """Sixteen pixels of an image of 16×16."""

    key = "pixel-encoder"
    dimension = 16

    def encode(self, images, regions=None):
        return np.stack([image.array[0, 3].astype(np.float32) for image in images])


def _keys(archive: Archive, **options: object) -> set[str]:
    return {case.key for case in archive.similar(_QUERY, k=99, encoder=MeanEncoder(), **options)}  # type: ignore[arg-type]


def test_what_another_process_writes_is_found(tmp_path: Path) -> None:
    data = paired(tmp_path / "films", 6)
    with Archive.open(tmp_path / "archive", create=True) as archive, Archive.open(tmp_path / "archive") as other:
        assert _keys(archive) == set()
        other.import_paths([data])
        first = {case.key for case in other.cases()}
        assert len(first) == 6 and _keys(archive) == first
        # An image that came with its vector, and one that came without.
        other.import_paths([picture(data / "images" / "new.png", 900)], encoder=MeanEncoder())
        other.import_paths([picture(data / "images" / "newer.png", 901)])
        new = {case.key for case in other.cases()} - first
        assert _keys(archive) == first | new
        rows = archive.snapshot(encoder=MeanEncoder()).rows
        assert sorted(rows.tolist()) == list(range(8))


def test_changes_of_what_is_there_are_noticed(tmp_path: Path) -> None:
    data = paired(tmp_path / "films", 6)
    with Archive.open(tmp_path / "archive", create=True) as archive, Archive.open(tmp_path / "archive") as other:
        other.import_paths([data])
        keys = [case.key for case in other.cases()]
        normal, heart = Selection(categories=frozenset({"normal"})), {"structures": ["Heart"]}
        assert _keys(archive, where=normal) == _keys(archive, **heart) == set()
        other.categorise(keys[:2], "normal")
        assert _keys(archive, where=normal) == set(keys[:2]) and archive.count(normal) == 2
        assert _keys(archive, where=normal, among=keys[1:]) == {keys[1]}
        other.add_masks(keys[3], other.case(keys[3]).image, {"heart": np.eye(16, dtype=bool)})
        assert _keys(archive, **heart) == {keys[3]}
        assert _keys(archive, where=Selection(masked=True), structures=["lung", "heart"]) == {keys[3]}
        # A file that now holds another picture: the image that it held is removed.
        picture(data / "images" / "p000_0.png", 500)
        other.import_paths([data])
        now = {case.key for case in other.cases()}
        assert keys[0] not in now and _keys(archive) == now


def test_removed_images_do_not_hide_one_that_takes_the_last_number(tmp_path: Path) -> None:
    data = paired(tmp_path / "films", 3)
    with Archive.open(tmp_path / "archive", create=True) as archive, Archive.open(tmp_path / "archive") as other:
        other.import_paths([data])
        _keys(archive)
        picture(data / "images" / "p002_0.png", 501)  # SQLite gives the number of the last row again
        other.import_paths([data], encoder=MeanEncoder())
        assert _keys(archive) == {case.key for case in other.cases()}


def test_images_that_go_while_they_are_encoded_get_no_vector_and_give_none_to_others(tmp_path: Path) -> None:
    data = paired(tmp_path / "films", 3)
    with Archive.open(tmp_path / "archive", create=True) as archive, Archive.open(tmp_path / "archive") as other:
        other.import_paths([data])
        last = archive.images()[-1].key

        class Meanwhile(MeanEncoder):
            def encode(self, *given, **more):
                """The last image's file is no image any more, and another image is imported: SQLite gives it the same number."""
                (data / "images" / "p002_0.png").write_bytes(b"no picture")
                other.import_paths([data])
                other.import_paths([picture(tmp_path / "another.png", 77)])
                return super().encode(*given, **more)

        assert archive.embed(Meanwhile()) == 2
        keys = [record.key for record in archive.images()]
        assert last not in keys and len(keys) == 3
        assert archive.embed(MeanEncoder()) == 1
        known, rows, base = archive.vectors(MeanEncoder())
        images = [archive.case(key).image for key in known]
        np.testing.assert_allclose(base[rows], MeanEncoder().encode(images))


@pytest.fixture
def indexed_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_files, "CELLS_FROM", 300)


def _films(folder: Path, count: int, first: int = 0) -> Path:
    for number in range(first, first + count):
        picture(folder / f"{number}.png", number)
    return folder


def test_a_large_archive_is_searched_through_an_index(tmp_path: Path, monkeypatch, indexed_early) -> None:
    """Which gives what comparing every vector gives; what it does not know yet is found too."""
    encoder, place = PixelEncoder(), tmp_path / "archive" / "vectors"
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([_films(tmp_path / "a", 250)], encoder=encoder)
        assert not list(place.glob("*.faiss"))
        archive.import_paths([_films(tmp_path / "b", 100, 250)], encoder=encoder)
        (index,) = place.glob("*.faiss")
        (new,) = archive.import_paths([picture(tmp_path / "new.png", 7_000)], encoder=encoder).keys
        assert list(place.glob("*.faiss")) == [index], "one more is no reason to write it again"
        keys = [case.key for case in archive.cases()]
        centre = index_files.load(*_store(archive, encoder)).centre
        monkeypatch.setattr("casewise.archive.retrieval.similar._PRESELECTED", 60)
        query = Image(_QUERY.array + 1, header={"spacing_known": False})
        vectors = encoder.encode([case.image for case in archive.cases()]) - centre
        own = encoder.encode([query])[0] - centre
        cosines = vectors @ own / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(own))
        for among in (range(len(keys)), range(0, len(keys), 2), range(340, len(keys))):
            found = archive.similar(query, k=3, by=("latent",), encoder=encoder, among={keys[place] for place in among})
            best = sorted(among, key=lambda place: -cosines[place])[:3]
            assert [case.key for case in found] == [keys[place] for place in best]
            np.testing.assert_allclose([case.score for case in found], cosines[best], atol=1e-6)
        assert archive.similar(query, k=1, by=("latent",), encoder=encoder)[0].key == new


def test_an_index_that_is_lost_is_made_again(tmp_path: Path, indexed_early) -> None:
    place = tmp_path / "archive" / "vectors"
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([_films(tmp_path / "a", 320)], encoder=PixelEncoder())
        expected = archive.similar(_QUERY, encoder=PixelEncoder())
        for path in place.glob("*index*"):
            path.unlink()
        again = archive.similar(_QUERY, encoder=PixelEncoder())
        assert [case.key for case in again] == [case.key for case in expected]
        assert list(place.glob("*index*"))


def _store(archive: Archive, encoder: PixelEncoder):
    from casewise.archive.retrieval.embedding import store_of

    store = store_of(archive.folder, encoder)
    return store, store.rows()
