"""People at the page, as the server sees them, and what they look at."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np

from casewise.image import Image
from casewise.server.masks import runs, unpacked
from casewise.server.schemas.common import MaskPatch

CENTRE, RADIUS = (50, 40), 18


def disc(side: int = 96) -> np.ndarray:
    """(side, side) bool: what the pictures show."""
    rows, columns = np.indices((side, side))
    return np.hypot(rows - CENTRE[0], columns - CENTRE[1]) < RADIUS


def picture(seed: int = 0, side: int = 96) -> Image:
    noise = np.random.default_rng(seed).normal(0, 8, (side, side))
    return Image(np.clip(60 + 110 * disc(side) + noise, 0, 255).astype(np.uint8)[None])


def volume(affine: np.ndarray | None = None, shape: tuple[int, int, int] = (40, 36, 12)) -> Image:
    """A bright box of voxels on noise."""
    array = np.random.default_rng(1).normal(100, 15, shape)
    array[12:28, 10:26, 3:9] += 300
    return Image(array.astype(np.int16)[None], np.diag([1.0, 1.0, 3.0, 1.0]) if affine is None else affine)


class Annotator:
    """One person at the page: the orders that it sends, and the mask that it puts together from the answers."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.state: dict[str, Any] = {}
        self.mask = np.zeros((0,), bool)
        self.shape: tuple[int, ...] = ()
        self.round = 0

    @property
    def url(self) -> str:
        return f"/api/v1/sessions/{self.state['id']}"

    def open(self, key: str, structure: str, shape: tuple[int, ...], **more: Any) -> dict[str, Any]:
        self.shape = shape
        answer = self.client.post("/api/v1/sessions", json={"case": key, "structure": structure, **more})
        assert answer.status_code == 201, answer.text
        self.state = answer.json()
        self.take(self.state["objects"][self.state["current"]])
        return self.state

    def take(self, of: dict[str, Any]) -> None:
        """Go on from the state of an object."""
        self.round = of["round"]
        self.mask = np.zeros(self.shape, bool)
        if of["mask"] is not None:
            self.mask = unpacked(MaskPatch(**of["mask"])).whole(self.shape)

    def order(self, what: str, **body: Any) -> dict[str, Any]:
        answer = self.client.post(f"{self.url}/{what}", json={"after": self.round, **body})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        if found["patch"] is not None:
            part = unpacked(MaskPatch(**found["patch"]))
            self.mask[part.box.slices] = part.bits
        self.round = found["object"]["round"]
        return found

    def draw(self, places: list[tuple[int, ...]], kind: str = "foreground", **more: Any) -> dict[str, Any]:
        return self.order("strokes", **{kind: runs(np.array(places), self.shape)}, **more)

    def stored(self) -> np.ndarray:
        """(*spatial) bool: the whole mask as the server has it."""
        answer = self.client.get(f"{self.url}/mask")
        return unpacked(MaskPatch(**answer.json())).whole(self.shape)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
