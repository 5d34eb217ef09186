"""A page taken apart, and masks to draw on one."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image as Pillow


@dataclass
class Page(HTMLParser):
    """Every element of a page with its attributes, and its text."""

    text: str = ""
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> Page:
        page = cls()
        HTMLParser.__init__(page)
        page.feed(path.read_text(encoding="utf-8"))
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def find(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and all(value in attributes.get(key.rstrip("_"), "").split() for key, value in wanted.items())
        ]


def decoded(uri: str) -> np.ndarray:
    """The pixels of a data URI."""
    assert uri.startswith("data:image/")
    return np.asarray(Pillow.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def disc(shape: tuple[int, ...], radius: float = 0.25) -> np.ndarray:
    grid = np.indices(shape, sparse=True)
    return sum(((axis + 0.5) / side - 0.5) ** 2 for axis, side in zip(grid, shape, strict=True)) < radius**2
