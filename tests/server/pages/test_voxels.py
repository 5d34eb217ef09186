"""The voxel that a person sees and clicks is the voxel that is kept, in every plane of every kind of image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from playwright.sync_api import Page

from casewise.archive import Archive
from tests.server.pages import marked_images as images
from tests.server.pages.drawing import (
    LARGE,
    Served,
    Watched,
    call,
    click,
    closer,
    drag,
    go_to_slice,
    open_image,
    pixels,
    settle,
    spot,
    thin_pen,
)

VOLUMES = {"flipped": images.flipped, "oblique": images.oblique, "anisotropic": images.anisotropic}
PLANES = ("axial", "coronal", "sagittal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voxels")


@pytest.fixture(scope="module")
def marked(folder: Path) -> dict[str, images.Marked]:
    """All images by name."""
    files = folder / "images"
    files.mkdir()
    found = {name: images.volume(files / f"{name}.nii.gz", affine()) for name, affine in VOLUMES.items()}
    return {**found, "picture": images.picture(files / "picture.png"), "film": images.film(files / "film.dcm")}


@pytest.fixture(scope="module")
def keys(folder: Path, marked: dict[str, images.Marked]) -> dict[str, str]:
    with Archive.open(folder / "archive", create=True) as archive:
        return {name: archive.add(one.path) for name, one in marked.items()}


@pytest.fixture(scope="module")
def served(folder: Path, keys: dict[str, str], serve: Callable[..., Served]) -> Iterator[Served]:
    yield serve(folder / "archive")


@pytest.mark.parametrize("name", VOLUMES)
def test_every_plane_of_a_volume_marks_the_voxel_that_is_seen(
    name: str, served: Served, keys: dict[str, str], marked: dict[str, images.Marked], new_page: Callable[..., Page]
) -> None:
    page, key, voxel = new_page(served), keys[name], marked[name].voxel
    open_image(page, key, structure=f"spot {name}")
    session = Watched(page, key, f"spot {name}")
    detail = call(page, f"/cases/{key}")
    thin_pen(page)
    page.keyboard.press(" ")  # the mask's tint would dim the bright voxel
    for number, plane in enumerate(detail["planes"]):
        page.keyboard.press("f")
        while page.locator(LARGE).get_attribute("data-plane") != plane["name"]:
            page.keyboard.press("x")
        go_to_slice(page, voxel[plane["through"]])
        at = spot(page)
        _check_sides(page, at, plane, marked[name])
        click(page, at)
        session.after(number + 1)
        assert session.marked("foreground", tuple(detail["shape"])) == {voxel}, plane["name"]
        if number < 2:
            page.keyboard.press("Control+z")
            session.after(number)
            page.keyboard.press("Control+Shift+z")
            session.after(number + 1)
    _accept(page, key)
    _check_kept(served, keys[name], f"spot {name}", marked[name])


def _check_sides(page: Page, at: tuple[float, float], plane: dict[str, Any], one: images.Marked) -> None:
    """Radiological display, by SimpleITK's own reading of the file: the patient's left on the right, the head up, the face left."""
    image = sitk.ReadImage(str(one.path))
    centre = [(n - 1) / 2 for n in image.GetSize()]
    centre[plane["through"]] = one.voxel[plane["through"]]
    middle = np.array(image.TransformContinuousIndexToPhysicalPoint(centre))
    left, back, up = np.array(image.TransformIndexToPhysicalPoint(one.voxel)) - middle  # LPS
    across, down = {"axial": (left, back), "coronal": (left, -up), "sagittal": (back, -up)}[plane["name"]]
    edge = page.locator(LARGE).bounding_box()
    assert edge is not None
    for seen, true in ((at[0] - edge["x"] - edge["width"] / 2, across), (at[1] - edge["y"] - edge["height"] / 2, down)):
        assert abs(true) < 3 or np.sign(seen) == np.sign(true), (plane["name"], seen, true)


def _accept(page: Page, key: str) -> None:
    with page.expect_response(lambda answer: answer.url.endswith("/accept")) as answered:
        page.keyboard.press("a")
    assert answered.value.ok
    assert answered.value.json()["key"] == key


def _check_kept(served: Served, key: str, structure: str, one: images.Marked) -> None:
    """The kept mask is on the image's own grid, and marks the brightest voxel, as SimpleITK reads both."""
    with Archive.open(served.folder) as archive:
        path = next(Path(str(label["path"])) for label in archive.labels(key) if label["name"] == structure)
    mask, image = sitk.ReadImage(str(served.folder / path)), sitk.ReadImage(str(one.path))
    values = sitk.GetArrayFromImage(image)
    brightest = [int(at) for at in np.unravel_index(int(np.argmax(values)), values.shape)][::-1]
    if image.GetDimension() == 3 and image.GetDepth() > 1:
        assert mask.GetSize() == image.GetSize()
        assert np.allclose(mask.GetSpacing(), image.GetSpacing(), atol=1e-5)
        assert np.allclose(mask.GetOrigin(), image.GetOrigin(), atol=1e-4)
        assert np.allclose(mask.GetDirection(), image.GetDirection(), atol=1e-5)
        place = mask.TransformPhysicalPointToIndex(image.TransformIndexToPhysicalPoint(brightest))
    elif path.suffix == ".png":
        assert mask.GetSize() == image.GetSize()
        place = brightest
    else:  # a film says no place in the patient; a NIfTI file of it counts rows first
        assert mask.GetSize() == image.GetSize()[1::-1]
        place = brightest[1::-1]
    assert mask[place] != 0


@pytest.mark.parametrize("name", ["oblique"])
def test_a_click_on_a_small_plane_moves_all_planes_to_the_voxel(
    name: str, served: Served, keys: dict[str, str], marked: dict[str, images.Marked], new_page: Callable[..., Page]
) -> None:
    page, key, voxel = new_page(served), keys[name], marked[name].voxel
    open_image(page, key)
    planes = call(page, f"/cases/{key}")["planes"]
    go_to_slice(page, voxel[planes[0]["through"]])
    # The small planes pass through the middle: bring the first to the marker by the large one, with the moving tool.
    page.keyboard.press("m")
    click(page, spot(page))
    settle(page)
    for plane in planes:
        caption = page.locator(f".pane[data-plane={plane['name']}] .caption").inner_text()
        assert f"{voxel[plane['through']] + 1}" in caption.replace("/", " ").split(), caption
    small = page.locator(".pane[data-place=small-1]")
    edge = small.bounding_box()
    assert edge is not None
    page.mouse.click(edge["x"] + edge["width"] * 0.6, edge["y"] + edge["height"] * 0.6)
    settle(page)
    page.mouse.click(*spot(page, ".pane[data-place=small-1]"))
    settle(page)
    for plane in planes:
        caption = page.locator(f".pane[data-plane={plane['name']}] .caption").inner_text()
        assert f"{voxel[plane['through']] + 1}" in caption.replace("/", " ").split(), caption


@pytest.mark.parametrize("ratio", [1, 2])
@pytest.mark.parametrize("name", ["picture", "film"])
def test_a_picture_marks_the_pixel_that_is_seen_closely_and_moved_aside(
    name: str, ratio: int, served: Served, keys: dict[str, str], marked: dict[str, images.Marked], new_page: Callable[..., Page]
) -> None:
    page, key, voxel = new_page(served, ratio=ratio), keys[name], marked[name].voxel
    structure = f"spot {ratio}"
    open_image(page, key, structure)
    session = Watched(page, key, structure)
    shape = tuple(call(page, f"/cases/{key}")["shape"])
    thin_pen(page)
    at = spot(page) if name == "picture" else _square(page)
    page.keyboard.press("f")
    closer(page, at, 9)
    drag(page, at, (at[0] + 60, at[1] - 35), button="middle")
    settle(page)
    click(page, spot(page))
    session.after(1)
    assert session.marked("foreground", shape) == {voxel}
    _accept(page, key)
    _check_kept(served, key, structure, marked[name])


def _square(page: Page) -> tuple[float, float]:
    """Where the film's grey square is seen, when the whole film is."""
    values = pixels(page)
    rows, columns = np.nonzero(values > 165)
    edge = page.locator(f"{LARGE} canvas").first.bounding_box()
    assert edge is not None
    ratio = values.shape[1] / edge["width"]
    return edge["x"] + (columns.mean() + 0.5) / ratio, edge["y"] + (rows.mean() + 0.5) / ratio
