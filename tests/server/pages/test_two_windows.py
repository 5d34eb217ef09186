"""The page Annotate in two windows of one person: each goes on with its own structure, and accepts what it displays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Page

from casewise.archive import Archive
from tests.server.pages.drawing import LARGE, Point, Served, call, drag, open_image, until

SHAPE = (90, 130)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An archive of pictures of a disc at the left and one at the right."""
    folder = tmp_path_factory.mktemp("windows") / "archive"
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    discs = ((y - 45) ** 2 + (x - 35) ** 2 < 15**2) | ((y - 45) ** 2 + (x - 95) ** 2 < 15**2)
    files = [folder.parent / f"discs-{number}.png" for number in range(3)]
    for file in files:
        Picture.fromarray((np.where(discs, 170, 70) + rng.normal(0, 6, SHAPE)).astype(np.uint8)).save(file)
    with Archive.open(folder, create=True) as archive:
        return folder, [archive.add(file) for file in files]


@pytest.fixture(scope="module")
def served(keys: tuple[Path, list[str]], serve: Callable[..., Served]) -> Iterator[Served]:
    yield serve(keys[0])


def at(page: Page, row: float, column: float) -> Point:
    edge = page.locator(f"{LARGE} canvas").first.bounding_box()
    assert edge is not None
    scale = min(edge["width"] / SHAPE[1], edge["height"] / SHAPE[0]) * 0.96
    middle = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    return middle[0] + (column + 0.5 - SHAPE[1] / 2) * scale, middle[1] + (row + 0.5 - SHAPE[0] / 2) * scale


def opened(page: Page, key: str, structure: str) -> str:
    """The page on an image; returns its session."""
    with page.expect_response(lambda answer: answer.url.endswith("/api/v1/sessions")) as answer:
        open_image(page, key, structure)
    found: str = answer.value.json()["id"]
    return found


def stroke(page: Page, column: float, row: float = 45) -> None:
    page.keyboard.press("f")
    drag(page, at(page, row, column - 4), at(page, row, column + 4))


def objects(page: Page, session: str) -> dict[str, Any]:
    return {one["structure"]: one for one in call(page, f"/sessions/{session}")["objects"]}


def test_each_window_goes_on_with_its_own_structure(
    served: Served, keys: tuple[Path, list[str]], new_page: Callable[..., Page]
) -> None:
    first, second = new_page(served, quiet=False), new_page(served, quiet=False)
    session = opened(first, keys[1][0], "left")
    stroke(first, 35)
    until(lambda: objects(first, session)["left"]["round"] == 1)
    assert opened(second, keys[1][0], "right") == session
    stroke(second, 95)
    right = until(lambda: (found := objects(second, session)["right"])["round"] == 1 and found)
    until(lambda: second.get_by_text("1 stroke ·").count() == 2)

    stroke(first, 33, 40)
    left = until(lambda: (found := objects(first, session)["left"])["round"] == 2 and found)
    assert left["strokes"] == 2 and max(start % SHAPE[1] + count for start, count in left["foreground"]) < 65
    assert objects(first, session)["right"] == right, "nothing of it landed in the other window's structure"

    first.keyboard.press("Control+z")
    until(lambda: objects(first, session)["left"]["round"] == 1)
    assert objects(first, session)["right"] == right
    assert first.get_by_role("button", name="Structure: left. Choose another").is_visible()
    assert second.get_by_role("button", name="Structure: right. Choose another").is_visible()


def test_a_window_accepts_only_what_it_displays(
    served: Served, keys: tuple[Path, list[str]], new_page: Callable[..., Page]
) -> None:
    first, second, key = new_page(served, quiet=False), new_page(served, quiet=False), keys[1][1]
    session = opened(first, key, "left")
    stroke(first, 35)
    until(lambda: first.get_by_text("1 stroke ·").is_visible())
    opened(second, key, "right")
    stroke(second, 95)
    until(lambda: second.get_by_text("1 stroke ·").count() == 2)
    with first.expect_response(lambda answer: answer.url.endswith("/accept")) as refused:
        first.keyboard.press("a")
    assert refused.value.status == 409
    until(lambda: "look at them, and accept again" in first.locator(".status").inner_text())
    assert call(first, f"/cases/{key}")["structures"] == []
    until(lambda: first.locator(".card.object").count() == 2)
    assert first.get_by_role("button", name="Structure: left. Choose another").is_visible()
    with first.expect_response(lambda answer: answer.url.endswith("/accept")) as accepted:
        first.keyboard.press("a")
    assert accepted.value.ok and sorted(accepted.value.json()["structures"]) == ["left", "right"]
    assert session in accepted.value.url


def test_a_window_displays_what_the_other_one_changed_of_its_structure(
    served: Served, keys: tuple[Path, list[str]], new_page: Callable[..., Page]
) -> None:
    first, second, key = new_page(served, quiet=False), new_page(served, quiet=False), keys[1][2]
    session = opened(first, key, "left")
    stroke(first, 35)
    until(lambda: objects(first, session)["left"]["round"] == 1 and first.get_by_text("1 stroke ·").is_visible())
    opened(second, key, "left")
    second.keyboard.press("Control+z")
    until(lambda: objects(first, session)["left"]["round"] == 0)
    stroke(second, 95)
    until(lambda: objects(first, session)["left"]["round"] == 1)
    # The first window has perhaps looked meanwhile, as it does now and then, and else looks when its stroke is answered.
    stroke(first, 93, 40)
    left = until(lambda: (found := objects(first, session)["left"])["round"] == 2 and found)
    until(lambda: first.get_by_text(f"{left['strokes']} strokes ·").is_visible())
    with first.expect_response(lambda answer: answer.url.endswith("/accept")) as accepted:
        first.keyboard.press("a")
    assert accepted.value.ok, "the whole mask was seen"
