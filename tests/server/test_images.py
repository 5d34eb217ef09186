"""Voxels on the wire, thumbnails, masks, and the copies for the three-dimensional view."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Image
from casewise.server.app import create_app
from casewise.server.images import ImageCache
from casewise.server.masks import places, runs, unpacked
from casewise.server.schemas.common import MaskPatch
from casewise.server.store import Store
from casewise.server.thumbnails import picture
from casewise.server.voxels import chosen, dtype_sent
from tests.server.people import nobody, signed_in


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive.open(tmp_path / "archive", create=True) as opened:
        yield opened


@pytest.fixture
def app(archive: Archive) -> Iterator[FastAPI]:
    store = Store.open(archive.folder)
    yield create_app(archive, store)
    store.close()


@pytest.fixture
def reader(app: FastAPI) -> TestClient:
    return signed_in(app, "reader", "rita")


def volume(dtype: type = np.int16) -> Image:
    array = np.random.default_rng(0).normal(0, 300, (1, 7, 6, 5)).astype(dtype)
    return Image(array, np.diag([-1.0, 1.0, 3.0, 1.0]))


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.float32, np.float64, np.int32, np.int8])
def test_voxels_come_as_they_are(archive: Archive, reader: TestClient, dtype: type) -> None:
    image = volume(dtype)
    answer = reader.get(f"/api/v1/cases/{archive.add(image)}/voxels")
    assert answer.status_code == 200 and answer.headers["X-Shape"] == "7,6,5" and answer.headers["X-Channels"] == "1"
    sent = answer.headers["X-Dtype"]
    assert sent == dtype_sent(dtype) and sent in ("int16", "uint8", "uint16", "float32")
    found = np.frombuffer(answer.content, np.dtype(sent).newbyteorder("<")).reshape(7, 6, 5)
    assert (found == image.array[0].astype(sent)).all()
    assert int(answer.headers.get("Content-Length", len(answer.content))) == len(answer.content)


def test_numbers_that_fit_no_type_of_the_page_are_rounded_as_told() -> None:
    image = Image(np.array([[[2**24 + 1, -5], [0, 7]]], np.int32))
    assert chosen(image, None, None, None).dtype == np.float32
    (octets,) = chosen(Image(np.array([[[1e300, 2.5]]])), None, None, None).pieces()
    assert np.frombuffer(octets, "<f4").tolist() == [np.inf, 2.5]


def test_one_slice_of_a_plane(archive: Archive, reader: TestClient) -> None:
    image = volume()
    key = archive.add(image)
    for plane, axis in (("axial", 2), ("coronal", 1), ("sagittal", 0)):
        answer = reader.get(f"/api/v1/cases/{key}/voxels", params={"plane": plane, "slice": 3})
        expected = np.take(image.array[0], 3, axis)
        assert answer.headers["X-Shape"] == ",".join(map(str, expected.shape))
        assert answer.content == expected.tobytes()
    for wrong in ({"plane": "axial", "slice": 5}, {"plane": "axial"}, {"plane": "frame", "slice": 0}, {"channel": 1}):
        refused = reader.get(f"/api/v1/cases/{key}/voxels", params=wrong)
        assert refused.status_code == 400 and refused.json()["detail"].endswith(".")


def test_colours_come_last_and_one_channel_alone(archive: Archive, reader: TestClient) -> None:
    array = np.random.default_rng(0).integers(0, 255, (3, 4, 5)).astype(np.uint8)
    key = archive.add(Image(array, header=Header(photometric="RGB")))
    answer = reader.get(f"/api/v1/cases/{key}/voxels")
    assert answer.headers["X-Channels"] == "3" and answer.headers["X-Shape"] == "4,5"
    assert (np.frombuffer(answer.content, np.uint8).reshape(4, 5, 3) == np.moveaxis(array, 0, -1)).all()
    assert reader.get(f"/api/v1/cases/{key}/voxels", params={"channel": 2}).content == array[2].tobytes()


def test_what_the_browser_has_is_not_sent_again(archive: Archive, reader: TestClient) -> None:
    key = archive.add(volume())
    url = f"/api/v1/cases/{key}/voxels"
    tag = reader.get(url).headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        again = reader.get(url, headers={"If-None-Match": given})
        assert again.status_code == 304 and not again.content
    assert reader.get(url, headers={"If-None-Match": '"other"'}).status_code == 200


def test_octets_are_packed_for_those_who_are_far(archive: Archive, app: FastAPI) -> None:
    url = f"/api/v1/cases/{archive.add(volume())}/voxels"
    for address, packed in (("192.0.2.7", True), ("127.0.0.1", False)):
        client = signed_in(app, "reader", "rita")
        far = nobody(app, address=address)
        far.headers["Authorization"] = client.headers["Authorization"]
        for accepted in ("gzip", "identity"):
            answer = far.get(url, headers={"Accept-Encoding": accepted})
            assert (answer.headers.get("Content-Encoding") == "gzip") == (packed and accepted == "gzip")
            assert answer.content == volume().array.tobytes()


def test_an_unknown_image_is_not_there(reader: TestClient) -> None:
    for what in ("voxels", "thumbnail", "masks/liver", "nifti"):
        assert reader.get(f"/api/v1/cases/{'0' * 32}/{what}").status_code == 404


def test_a_file_that_has_gone_is_told_without_its_path(archive: Archive, reader: TestClient, tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", volume())
    key = archive.add(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").unlink()
    for what in ("voxels", "thumbnail"):
        assert reader.get(f"/api/v1/cases/{key}/{what}").status_code == 404


def test_an_image_that_was_overwritten_is_never_displayed_as_the_old_one(
    archive: Archive, app: FastAPI, reader: TestClient, tmp_path: Path
) -> None:
    path = write(tmp_path / "in" / "a.nii.gz", volume())
    archive.import_paths([tmp_path / "in"])
    (key,) = (record.key for record in archive.images())
    write(path, volume(np.uint8))
    for what in ("voxels", "thumbnail", "nifti"):
        answer = reader.get(f"/api/v1/cases/{key}/{what}")
        assert answer.status_code == 404
        assert "was changed after it was imported; import it again" in answer.json()["detail"]


def test_a_thumbnail_lies_as_the_page_displays_it(archive: Archive, reader: TestClient) -> None:
    """Left on the right, head up, voxels in their proportions."""
    array = np.zeros((40, 60, 30), np.int16)
    array[30:, :, :] = 500  # the patient's right
    array[:, 40:, :] += 250  # the front
    key = archive.add(Image(array[None], np.diag([1.0, 1.0, 3.0, 1.0])))
    answer = reader.get(f"/api/v1/cases/{key}/thumbnail")
    assert answer.headers["Content-Type"] == "image/png"
    found = np.asarray(Pillow.open(io.BytesIO(answer.content))).astype(int)
    assert found.shape == (160, 107)
    top, bottom = found[:40].mean(axis=0), found[-40:].mean(axis=0)
    assert top[:20].mean() > top[-20:].mean() + 50  # the right on the left of the screen
    assert (top > bottom + 20).all()  # the front above
    kept = next((archive.folder / "server").rglob("*.png"))
    assert kept.read_bytes() == answer.content


@pytest.mark.parametrize(
    "image",
    [
        Image(np.full((1, 3, 900), 7, np.uint16)),
        Image(np.full((1, 5, 5), np.nan, np.float32)),
        Image(np.random.default_rng(0).integers(0, 255, (3, 20, 30)).astype(np.uint8)),
        Image(np.zeros((1, 4, 5, 3), np.uint8), header=Header(third_axis="time", orientation_known=False)),
    ],
)
def test_whatever_an_image_is_has_a_thumbnail(image: Image) -> None:
    made = Pillow.open(io.BytesIO(picture(image)))
    assert max(made.size) == 160 and min(made.size) >= 1


def test_a_mask_by_name(archive: Archive, reader: TestClient) -> None:
    mask = np.random.default_rng(0).random((7, 6, 5)) < 0.2
    key = archive.add(volume(), {"left lung": mask, "empty": np.zeros_like(mask)})
    answer = reader.get(f"/api/v1/cases/{key}/masks/left lung")
    assert (unpacked(MaskPatch(**answer.json())).whole((7, 6, 5)) == mask).all()
    assert not unpacked(MaskPatch(**reader.get(f"/api/v1/cases/{key}/masks/empty").json())).bits.any()
    assert reader.get(f"/api/v1/cases/{key}/masks/liver").status_code == 404


def test_the_three_dimensional_view_gets_a_right_handed_copy(archive: Archive, reader: TestClient, tmp_path: Path) -> None:
    image = volume()  # left-handed
    answer = reader.get(f"/api/v1/cases/{archive.add(image)}/nifti")
    (tmp_path / "sent.nii.gz").write_bytes(answer.content)
    sent = read(tmp_path / "sent.nii.gz")
    assert np.linalg.det(sent.affine[:3, :3]) > 0
    assert (sent.reorient("RAS").array == image.reorient("RAS").array).all()
    assert reader.get(f"/api/v1/cases/{archive.add(Image(np.zeros((1, 9, 9), np.uint8)))}/nifti").status_code == 400


def test_runs_and_places_are_inverse() -> None:
    rng = np.random.default_rng(0)
    for shape in ((9, 8), (4, 5, 6)):
        mask = rng.random(shape) < 0.4
        points = np.argwhere(mask)
        assert (places(runs(points, shape), shape) == points).all()
    assert runs(np.zeros((0, 2), int), (3, 3)) == [] and places([], (3, 3)).shape == (0, 2)


def test_images_are_held_by_their_bytes(archive: Archive) -> None:
    pictures = [Image(np.full((1, 10, 10), n, np.uint8)) for n in range(3)]
    keys = [archive.add(one) for one in pictures]
    cache = ImageCache(archive, 200)
    for key in keys:
        cache.get(key)
    assert cache.bytes == 200 and cache.held(keys[0]) is None and cache.held(keys[2]) is not None
    cache.get(keys[1])
    cache.get(keys[0])
    assert cache.held(keys[2]) is None and cache.held(keys[1]) is not None
    large = archive.add(Image(np.zeros((1, 20, 20), np.uint8)))
    assert cache.get(large).spatial_shape == (20, 20) and cache.held(large) is None and cache.bytes == 200


def test_several_who_ask_at_once_wait_for_one_reading(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    key = archive.add(volume())
    cache, opened, free = ImageCache(archive, 1 << 20), [], threading.Event()
    case_of = archive.case

    def slowly(wanted: str) -> object:
        opened.append(wanted)
        free.wait(120)
        return case_of(wanted)

    monkeypatch.setattr(archive, "case", slowly)
    found: list[Image] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get(key))) for _ in range(5)]
    for thread in threads:
        thread.start()
    free.set()
    for thread in threads:
        thread.join()
    assert opened == [key] and len({id(image) for image in found}) == 1


def test_an_error_of_reading_reaches_all_and_is_not_kept(archive: Archive, tmp_path: Path) -> None:
    write(tmp_path / "a.nii.gz", volume())
    key = archive.add(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(tmp_path / "b.nii.gz")
    cache = ImageCache(archive, 1 << 20)
    with pytest.raises(Exception, match="moved or deleted"):
        cache.get(key)
    (tmp_path / "b.nii.gz").rename(tmp_path / "a.nii.gz")
    assert cache.get(key).spatial_shape == (7, 6, 5)
