"""Nothing runs out of its place or lies over something else, in windows of several widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
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


def test_long_site_names_stay_in_their_columns(new_page: NewPage, changed_clinic: tuple[Served, Clinic], tmp_path: Path) -> None:
    served, _ = changed_clinic
    site = "department-of-diagnostic-radiology-of-the-northern-university-hospital"
    with Archive.open(served.folder) as archive:
        archive.add(write(tmp_path / "far.png", Image(np.arange(4096, dtype=np.uint8).reshape(1, 64, 64))), site=site)
    page = new_page(served)
    page.goto(f"/?site={site}")
    row = page.locator("tr[data-key]")
    expect(row).to_have_count(1)
    expect(row.get_by_text(f"Site {site}")).to_have_attribute("title", site)
    column, value = page.locator(".filters").bounding_box(), page.locator(f"[data-value='site:{site}']").bounding_box()
    assert column is not None and value is not None
    assert value["x"] + value["width"] <= column["x"] + column["width"]
    assert page.locator(".filters").evaluate("column => column.scrollWidth <= column.clientWidth")


@pytest.mark.parametrize("width,height", [(1280, 720), (1024, 768), (820, 1180), (640, 360)])
def test_the_caption_of_a_plane_has_its_own_ground_and_covers_no_letter(
    width: int, height: int, new_page: NewPage, clinic: tuple[Served, Clinic]
) -> None:
    served, found = clinic
    page = new_page(served, width=width, height=height)
    page.goto(f"/cases/{found.volume}")
    page.wait_for_selector(f".viewer[data-ready='{found.volume}']")
    page.wait_for_function("() => [...document.querySelectorAll('.caption')].every(caption => caption.textContent)")
    for pane in page.locator(".pane").all():
        caption, letter = pane.locator(".caption"), pane.locator(".letter[data-side=bottom]")
        said, shown, frame = caption.bounding_box(), letter.bounding_box(), pane.bounding_box()
        assert said is not None and shown is not None and frame is not None
        assert shown["y"] + shown["height"] <= said["y"], "the letter stands above the caption"
        assert abs(shown["x"] + shown["width"] / 2 - frame["x"] - frame["width"] / 2) < 2, "and in the middle of the plane"
        ground = caption.evaluate("caption => getComputedStyle(caption).backgroundColor")
        red, green, blue, alpha = (float(part) for part in ground.removeprefix("rgba(").removesuffix(")").split(","))
        assert alpha >= 0.7 and max(red, green, blue) < 40, "pale letters are read above a white film"
