"""The page Annotate, as a person uses it: a box, strokes, undo and redo, accepted, and on to the next image."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Page, Route

from casewise.archive import Archive
from casewise.demo.sources import for_pages
from tests.server.pages.drawing import (
    LARGE,
    Served,
    Watched,
    call,
    canvas,
    click,
    drag,
    go_to_slice,
    open_image,
    pixels,
    post,
    settle,
    spot,
    until,
)
from tests.server.pages.marked_images import anisotropic, volume

SHAPE = (90, 130)
GREEN, RED = (61, 220, 132), (242, 89, 79)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("annotate")


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    """Pictures of one disc each, the middle of the image in it; and other images."""
    files = folder / "images"
    files.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.indices(SHAPE)
    found = {}
    with Archive.open(folder / "archive", create=True) as archive:
        for number in range(9):
            disc = (y - 46 + number % 3) ** 2 + (x - 64 - number) ** 2 < (17 + number % 4) ** 2
            values = np.where(disc, 170, 70) + rng.normal(0, 6, SHAPE)
            Picture.fromarray(values.astype(np.uint8)).save(files / f"disc-{number}.png")
            found[f"disc-{number}"] = archive.add(files / f"disc-{number}.png", category="discs" if number < 3 else None)
        found["volume"] = archive.add(volume(files / "volume.nii.gz", anisotropic()).path)
        loop = next(source for source in for_pages() if "loop" in source.name)
        found["loop"] = archive.add(loop.path)
    return found


@pytest.fixture(scope="module")
def served(folder: Path, keys: dict[str, str], serve: Callable[..., Served]) -> Iterator[Served]:
    yield serve(folder / "archive")


def at(page: Page, row: float, column: float) -> tuple[float, float]:
    """Where a pixel of a picture of ``SHAPE`` lies in the browser, while the whole picture is shown."""
    edge = page.locator(f"{LARGE} canvas").first.bounding_box()
    assert edge is not None
    scale = min(edge["width"] / SHAPE[1], edge["height"] / SHAPE[0]) * 0.96
    middle = edge["x"] + edge["width"] / 2, edge["y"] + edge["height"] / 2
    return middle[0] + (column + 0.5 - SHAPE[1] / 2) * scale, middle[1] + (row + 0.5 - SHAPE[0] / 2) * scale


def displays_another(page: Page, *known: str | None) -> bool:
    """Whether an image is ready that is none of these."""
    return page.locator(".viewer").get_attribute("data-ready") not in (None, *known)


def box_around(page: Page, row: float = 46, column: float = 64, half: float = 24) -> None:
    page.keyboard.press("b")
    drag(page, at(page, row - half, column - half), at(page, row + half, column + half))


def status(page: Page) -> str:
    return page.locator(".status").inner_text()


def has_colour(page: Page, colour: tuple[int, int, int]) -> bool:
    """Whether strokes of a colour are seen over the large plane."""
    values = canvas(page, f"{LARGE} .surface")
    near = np.abs(values[..., :3].astype(int) - colour).max(axis=-1) < 8
    return bool((near & (values[..., 3] > 200)).any())


def test_a_set_from_the_first_box_to_the_next_image(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page = new_page(served)
    page.goto("/")
    made = post(page, "/sets", {"name": "Discs", "structure": "disc", "strategy": "first", "category": "discs"})
    page.goto("/annotate")
    page.wait_for_selector(".viewer[data-ready]")
    first = page.locator(".viewer").get_attribute("data-ready")
    until(lambda: status(page) == "Draw a box around the disc.")
    session = Watched(page, str(first), "disc", made["id"])
    assert page.get_by_text("0 of 3").is_visible() and page.get_by_text("nothing drawn yet").is_visible()

    box_around(page)
    until(lambda: session.object["box"])
    boxed = until(lambda: (found := session.object)["voxels"] > 400 and found)
    until(lambda: "Outlined in" in status(page))
    assert page.get_by_role("button", name="Belongs to it (F)").get_attribute("aria-pressed") == "true"
    tinted = np.count_nonzero(_tint(page)) / _scale(page) ** 2
    assert abs(tinted - boxed["voxels"]) < 0.04 * boxed["voxels"], "the mask that is seen is the server's"

    drag(page, at(page, 46, 60), at(page, 40, 68), at(page, 50, 70))
    session.after(boxed["round"] + 1)
    until(lambda: has_colour(page, GREEN))
    drag(page, at(page, 14, 20), at(page, 14, 50), button="right")
    marked = session.after(boxed["round"] + 2)
    until(lambda: has_colour(page, RED) and has_colour(page, GREEN))
    assert marked["strokes"] == 2 and marked["foreground"] and marked["background"]

    page.keyboard.press("Control+z")
    undone = session.after(boxed["round"] + 1)
    assert undone["background"] == [] and undone["foreground"] == marked["foreground"]
    until(lambda: not has_colour(page, RED) and has_colour(page, GREEN))
    page.get_by_role("button", name="Redo").click()
    again = session.after(boxed["round"] + 2)
    assert (again["background"], again["voxels"]) == (marked["background"], marked["voxels"])

    page.keyboard.press("a")
    until(lambda: displays_another(page, first), 60)
    second = str(page.locator(".viewer").get_attribute("data-ready"))
    assert second in page.url and second in keys.values()
    until(lambda: page.get_by_text("1 of 3").is_visible())
    detail = call(page, f"/sets/{made['id']}")
    assert detail["strokes"] == [2] and 0 < detail["seconds"][0] < 120
    assert call(page, f"/cases/{first}")["structures"] == ["disc"]
    page.keyboard.press("s")
    until(lambda: displays_another(page, first, second), 60)
    assert call(page, f"/sets/{made['id']}")["counts"]["skipped"] == 1


def _tint(page: Page) -> np.ndarray:
    """(height, width): where the large plane is tinted."""
    values = canvas(page, f"{LARGE} canvas").astype(int)
    return values[..., 0] > values[..., 2] + 8


def _scale(page: Page) -> float:
    (x0, y0), (x1, y1) = at(page, 0, 0), at(page, 10, 10)
    assert abs((x1 - x0) - (y1 - y0)) < 1e-6
    return (x1 - x0) / 10


def test_all_of_it_by_keys_alone(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served), keys["disc-3"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    press = page.keyboard.press
    page.locator(".viewer").focus()
    for name in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowUp", "b", "Enter"):
        press(name)
    for name in ("Shift+ArrowRight", "Shift+ArrowDown") * 4:
        press(name)
    press("Enter")
    boxed = until(lambda: (found := session.object)["box"] and found)
    assert boxed["box"] == [[25, 66], [45, 86]]
    for name in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowUp", "f", "[", "[", "[", "Enter"):
        press(name)
    for name in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        press(name)
    session.after(boxed["round"] + 1)
    assert session.marked("foreground", SHAPE) == {(45, 65), (45, 66), (45, 67), (46, 67)}
    with page.expect_response(lambda answer: answer.url.endswith("/accept")) as answered:
        press("a")
    assert answered.value.ok


def test_strokes_are_kept_while_the_server_does_not_answer(
    served: Served, keys: dict[str, str], new_page: Callable[..., Page]
) -> None:
    page, key = new_page(served, quiet=False), keys["disc-4"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    box_around(page)
    before = until(lambda: (found := session.object)["box"] and found)
    until(lambda: "Outlined in" in status(page))
    page.route("**/strokes", lambda route: route.abort())
    drag(page, at(page, 46, 60), at(page, 46, 70))
    until(lambda: "does not answer" in status(page))
    drag(page, at(page, 40, 60), at(page, 40, 70))
    settle(page)
    assert has_colour(page, GREEN)
    assert session.object["round"] == before["round"]
    page.unroute("**/strokes")
    after = until(lambda: (found := session.object)["strokes"] == 2 and found)
    assert {row for row, _ in session.marked("foreground", SHAPE)} >= {40, 46}
    until(lambda: "does not answer" not in status(page))
    assert after["round"] == before["round"] + 2


def test_what_is_drawn_before_the_session_has_begun_waits(
    served: Served, keys: dict[str, str], new_page: Callable[..., Page]
) -> None:
    page, key = new_page(served), keys["disc-0"]
    held: list[Route] = []
    page.route("**/api/v1/sessions", lambda route: held.append(route))
    page.goto(f"/annotate/{key}?structure=early")
    page.wait_for_selector(f".viewer[data-ready='{key}']")
    until(lambda: "Draw a box around the early" in status(page))
    page.keyboard.press("f")
    drag(page, at(page, 46, 60), at(page, 46, 70))
    until(lambda: has_colour(page, GREEN))
    held[0].continue_()
    until(lambda: page.get_by_text("1 stroke ·").is_visible())
    session = Watched(page, key, "early")
    assert session.object["strokes"] == 1 and session.object["voxels"] > 0


def test_without_a_structure_the_page_asks_for_one_and_what_is_drawn_waits(
    served: Served, keys: dict[str, str], new_page: Callable[..., Page]
) -> None:
    page, key = new_page(served), keys["disc-1"]
    page.goto(f"/annotate/{key}")
    field = page.get_by_label("What do you want to outline?")
    field.wait_for()
    page.keyboard.press("Escape")
    until(lambda: "What do you want to outline?" in status(page))
    box_around(page)
    page.get_by_role("button", name="Structure: none chosen").click()
    page.get_by_role("combobox").fill("round thing")
    page.keyboard.press("Enter")
    until(lambda: "Outlined in" in status(page))
    assert "structure=round+thing" in page.url
    kept = Watched(page, key, "round thing").object
    assert kept["voxels"] > 0
    page.keyboard.press("a")
    until(lambda: displays_another(page, key), 60)
    page.goto(f"/annotate/{key}?structure=round+thing")
    until(lambda: page.get_by_text("round thing").first.is_visible() and "ccept" in status(page))
    assert Watched(page, key, "round thing").object["voxels"] == kept["voxels"], "the image's own mask begins"


def test_an_answer_that_was_lost_is_not_done_twice(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served, quiet=False), keys["disc-5"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    lost = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/strokes", lose)
    page.keyboard.press("f")
    drag(page, at(page, 46, 60), at(page, 46, 70))
    session.after(1)
    until(lambda: "does not answer" not in status(page) and page.get_by_text("1 stroke ·").is_visible())
    assert lost == [200] and session.object["round"] == 1 and session.object["strokes"] == 1


def test_strokes_on_another_round_are_sent_again(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served, quiet=False), keys["disc-6"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    post(page, f"/sessions/{session.id}/strokes", {"after": 0, "foreground": [[46 * SHAPE[1] + 64, 4]]})
    page.keyboard.press("f")
    drag(page, at(page, 50, 60), at(page, 50, 66))
    session.after(2)
    assert {row for row, _ in session.marked("foreground", SHAPE)} >= {46, 50}
    until(lambda: page.get_by_text("2 strokes ·").is_visible())


def test_strokes_drawn_meanwhile_are_one_round(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served), keys["disc-7"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    held: list[Route] = []
    page.route("**/strokes", lambda route: route.continue_() if len(held) else held.append(route))
    page.keyboard.press("f")
    for row in (44, 47, 50):
        drag(page, at(page, row, 60), at(page, row, 66))
    until(lambda: page.locator("main[data-busy]").count() == 1)
    assert has_colour(page, GREEN)
    held[0].continue_()
    found = session.after(2)
    assert found["strokes"] == 3
    assert {row for row, _ in session.marked("foreground", SHAPE)} >= {44, 47, 50}
    until(lambda: page.locator("main[data-busy]").count() == 0)


def test_erased_strokes_and_a_reloaded_page(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served), keys["disc-8"]
    open_image(page, key, "disc")
    session = Watched(page, key, "disc")
    page.keyboard.press("f")
    drag(page, at(page, 46, 56), at(page, 46, 76))
    session.after(1)
    page.keyboard.press("e")
    for _ in range(3):
        page.keyboard.press("]")
    drag(page, at(page, 46, 70), at(page, 46, 80))
    erased = session.after(2)
    columns = {column for _, column in session.marked("foreground", SHAPE)}
    assert 57 in columns and not columns & set(range(70, 77))
    page.reload()
    page.wait_for_selector(f".viewer[data-ready='{key}']")
    until(lambda: has_colour(page, GREEN))
    assert session.object["voxels"] == erased["voxels"]
    assert page.get_by_role("button", name="Undo").is_enabled()


def test_two_structures_in_one_volume(served: Served, keys: dict[str, str], new_page: Callable[..., Page]) -> None:
    page, key = new_page(served), keys["volume"]
    open_image(page, key, "ball")
    session = Watched(page, key, "ball")
    plane = call(page, f"/cases/{key}")["planes"][0]
    go_to_slice(page, 16)
    middle = spot(page)
    assert plane["name"] == "axial"
    page.keyboard.press("b")
    drag(page, (middle[0] - 90, middle[1] - 90), (middle[0] + 90, middle[1] + 90))
    first = until(lambda: (found := session.object)["voxels"] > 0 and found)
    low, high = first["box"][plane["through"]]
    assert low <= 16 < high, "a box drawn in one plane is about as deep as it is wide"
    page.keyboard.press("n")
    page.get_by_label("Another structure in this image").fill("marker")
    page.keyboard.press("Enter")
    until(lambda: len(call(page, f"/sessions/{session.id}")["objects"]) == 2)
    until(lambda: "marker" in status(page))
    page.keyboard.down("Shift")
    drag(page, (middle[0] - 40, middle[1] - 40), (middle[0] + 40, middle[1] + 40))
    page.keyboard.up("Shift")
    second = until(lambda: (found := session.object)["structure"] == "marker" and found["box"] and found)
    assert second["box"][plane["through"]] == [16, 17], "with Shift held down the box lies in one slice"
    until(lambda: page.get_by_role("button", name="Grow through the slices (G)").is_enabled())
    click(page, middle, "f")
    until(lambda: session.object["voxels"] > 0)
    page.keyboard.press("1")
    until(lambda: session.object["structure"] == "ball" and status(page) == "Go on with strokes, or accept (A).")
    with page.expect_response(lambda answer: answer.url.endswith("/accept")) as answered:
        page.keyboard.press("a")
    assert sorted(answered.value.json()["structures"]) == ["ball", "marker"]


def test_a_loop_plays_and_a_large_volume_comes_slice_by_slice(
    served: Served, keys: dict[str, str], new_page: Callable[..., Page]
) -> None:
    page = new_page(served)
    open_image(page, keys["loop"], "heart")
    caption = page.locator(f"{LARGE} .caption")
    assert caption.inner_text().startswith("Frame 1 /")
    page.get_by_role("button", name="Play (P)").click()
    until(lambda: not caption.inner_text().startswith("Frame 1 /"))
    page.keyboard.press("p")
    assert page.get_by_role("button", name="Play (P)").is_visible()

    def pretend(route: Route) -> None:
        answer = route.fetch()
        body: dict[str, Any] = {**answer.json(), "bytes": 400_000_000}
        route.fulfill(response=answer, body=json.dumps(body))

    asked: list[str] = []
    ours = f"{keys['volume']}/voxels"
    page.on("request", lambda request: asked.append(request.url) if ours in request.url else None)
    open_image(page, keys["volume"], "spot")
    go_to_slice(page, 11)
    whole = pixels(page)
    assert len(asked) == 1 and "slice" not in asked.pop()
    page.route(f"**/cases/{keys['volume']}", pretend)
    open_image(page, keys["volume"], "spot")
    go_to_slice(page, 11)
    until(lambda: np.array_equal(pixels(page), whole))
    assert asked and all("slice=" in url for url in asked)


@pytest.mark.parametrize("width,height", [(1280, 720), (640, 360)])
def test_everything_is_reached_on_small_screens_and_at_double_zoom(
    width: int, height: int, served: Served, keys: dict[str, str], new_page: Callable[..., Page]
) -> None:
    page = new_page(served, width=width, height=height)
    open_image(page, keys["volume"], "another quite long name of a structure")
    across = page.evaluate("[document.documentElement.scrollWidth, innerWidth, document.querySelector('main').scrollWidth]")
    assert across[0] <= across[1] and across[2] <= across[1]
    for name in ("Accept and next", "Keys (?)", "Box (B)", "+ another structure"):
        button = page.get_by_role("button", name=name)
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 24
    page.get_by_role("button", name="Keys (?)").click()
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
