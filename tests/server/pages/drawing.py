"""Hands and eyes on the page Annotate: find the bright voxel on the screen, click there, draw, read back what was kept."""

from __future__ import annotations

import base64
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
from PIL import Image as Picture
from playwright.sync_api import Page
from scipy import ndimage

from tests.waiting import until

Point = tuple[float, float]
LARGE = ".pane[data-place=large]"
_PIXELS = "canvas => canvas.toDataURL('image/png')"


@dataclass
class Served:
    """A running server. folder : of its archive. state : what a browser keeps of a person who signed in."""

    url: str
    folder: Path
    state: Any = None
    process: subprocess.Popen[str] | None = None


def open_image(page: Page, key: str, structure: str = "spot", **query: str) -> None:
    """The page Annotate with the image drawn and its session begun."""
    more = "".join(f"&{name}={quote(value)}" for name, value in query.items())
    with page.expect_response(lambda answer: answer.url.endswith("/api/v1/sessions")):
        page.goto(f"/annotate/{key}?structure={quote(structure)}{more}")
    page.wait_for_selector(f".viewer[data-ready='{key}']")
    page.wait_for_selector(".card.object")
    settle(page)


def settle(page: Page) -> None:
    """Two frames have been painted since."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas(page: Page, selector: str) -> np.ndarray:
    """(height, width, 4): what is painted on a canvas, in device pixels."""
    url = page.locator(selector).first.evaluate(_PIXELS)
    return np.asarray(Picture.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))


def pixels(page: Page, pane: str = LARGE) -> np.ndarray:
    """(height, width) grey values of a plane as it is painted, without lines and letters."""
    return canvas(page, f"{pane} canvas")[..., 1]


def spot(page: Page, pane: str = LARGE) -> Point:
    """Where the bright voxel is seen in a plane, in the browser's coordinates: the smallest bright patch."""
    values = pixels(page, pane)
    patches, count = ndimage.label(values > 0.9 * values.max())
    assert values.max() > 150, "the bright voxel is not on the screen"
    sizes = ndimage.sum_labels(np.ones_like(values), patches, range(1, count + 1))
    row, column = ndimage.center_of_mass(np.ones_like(values), patches, int(np.argmin(sizes)) + 1)
    edge = page.locator(f"{pane} canvas").first.bounding_box()
    assert edge is not None
    ratio = values.shape[1] / edge["width"]
    return edge["x"] + (column + 0.5) / ratio, edge["y"] + (row + 0.5) / ratio


def go_to_slice(page: Page, number: int) -> None:
    """By the slider; slices count from 0."""
    page.locator(".slider input").fill(str(number + 1))
    settle(page)


def click(page: Page, at: Point, tool: str | None = None) -> None:
    """A stroke of one point."""
    if tool is not None:
        page.keyboard.press(tool)
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.up()


def drag(page: Page, *points: Point, button: Any = "left") -> None:
    page.mouse.move(*points[0])
    page.mouse.down(button=button)
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up(button=button)


def closer(page: Page, at: Point, scale: float) -> None:
    """By Ctrl and the wheel, until a voxel is at least ``scale`` pixels wide; what is at the pointer stays there."""
    page.mouse.move(*at)
    page.keyboard.down("Control")
    until(lambda: page.mouse.wheel(0, -150) or settle(page) or _scale(page) >= scale)
    page.keyboard.up("Control")


def _scale(page: Page) -> float:
    pixels, voxels = (float(part) for part in page.locator(f"{LARGE} .caption").inner_text().split(" · ")[-2].split(" : "))
    return pixels / voxels


def thin_pen(page: Page) -> None:
    for _ in range(8):
        page.keyboard.press("[")


def call(page: Page, address: str) -> Any:
    """What the server says to this person."""
    answer = page.request.get(f"/api/v1{address}")
    assert answer.ok, answer.text()
    return answer.json()


def post(page: Page, address: str, data: object) -> Any:
    """Ask the server to do something, as the page does."""
    here = urlsplit(page.url)
    headers = {"X-Casewise": "1", "Origin": f"{here.scheme}://{here.netloc}"}
    answer = page.request.post(f"/api/v1{address}", data=data, headers=headers)
    assert answer.ok, answer.text()
    return answer.json()


class Watched:
    """The session that a page works on, as the server has it."""

    def __init__(self, page: Page, key: str, structure: str = "spot", set: int | None = None) -> None:
        self.page = page
        self.id = post(page, "/sessions", {"case": key, "structure": structure, "set": set})["id"]

    @property
    def object(self) -> Any:
        state = call(self.page, f"/sessions/{self.id}")
        return state["objects"][state["current"]]

    def after(self, round: int) -> Any:
        """The object once it is at a round."""
        try:
            return until(lambda: (found := self.object)["round"] == round and found)
        except AssertionError as error:
            said = self.page.locator(".status").inner_text()
            raise AssertionError(f"round {self.object['round']} of {self.object['structure']!r}; the page says: {said}") from error

    def marked(self, kind: str, shape: tuple[int, ...]) -> set[tuple[int, ...]]:
        """The voxels of the strokes."""
        runs = self.object[kind]
        flat = [at for first, count in runs for at in range(first, first + count)]
        return {tuple(int(n) for n in np.unravel_index(at, shape)) for at in flat}
