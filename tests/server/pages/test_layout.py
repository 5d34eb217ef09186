"""Nothing runs out of its place or lies over something else, in windows of several widths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.server.pages.clinic import Clinic
from tests.server.pages.drawing import Served

NewPage = Callable[..., Page]
PLACES = ["/annotate/{volume}?structure=ball", "/sets", "/models"]


@pytest.mark.parametrize("width,height", [(1280, 720), (820, 1180), (720, 450), (640, 360)])
def test_the_persons_menu_opens_inside_the_window(
    width: int, height: int, new_page: NewPage, clinic: tuple[Served, Clinic]
) -> None:
    served, found = clinic
    page = new_page(served, width=width, height=height)
    for path in PLACES:
        page.goto(path.format(**vars(found)))
        page.wait_for_selector("main > *")
        page.locator(".person summary").click()
        entries = page.locator(".menu > *")
        expect(entries.first).to_be_visible()
        for entry in entries.all():
            box = entry.bounding_box()
            assert box is not None
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, (path, entry.inner_text())
            assert box["y"] >= 0 and box["y"] + box["height"] <= height, (path, entry.inner_text())
