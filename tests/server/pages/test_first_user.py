"""Somebody who opens the demonstration for the first time: a box, a stroke, undo, accept, and the next image is there."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from casewise.archive import Archive
from casewise.demo import archive as demo
from casewise.demo.volumes import FLAIR
from casewise.server.demonstration import prepare
from tests.server.pages.drawing import LARGE, Served, settle


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Served]) -> Served:
    folder = tmp_path_factory.mktemp("first") / "demo"
    with pytest.MonkeyPatch.context() as fewer:
        fewer.setattr(demo, "_PICTURES", 3)
        fewer.setattr(demo, "_LABELLED", 1)
        fewer.setattr(demo, "_VOLUMES", (("FLAIR-a", FLAIR, 2),))
        prepare(folder)
    return serve(folder)


def test_a_newcomer_outlines_the_first_structure(served: Served, new_page: Callable[..., Page]) -> None:
    page = new_page(served, width=1440, height=900)
    page.goto("/")
    page.get_by_role("link", name="Annotate next").click()
    page.wait_for_url("**/annotate/*")
    shows(page, "footer", "Draw a box around the brain")
    page.wait_for_selector(".viewer[data-ready]")
    settle(page)
    first = key_of(page)

    drag(page, (0.28, 0.06), (0.76, 0.94))
    shows(page, ".card.object", "draft")
    after_box = page.locator(".card.object").inner_text()
    page.keyboard.press("d")
    drag(page, (0.50, 0.35), (0.53, 0.48))
    shows(page, ".card.object", "1 stroke")
    page.keyboard.press("Control+z")
    shows(page, "footer", "Taken back")
    assert area(page.locator(".card.object").inner_text()) == area(after_box)

    page.get_by_role("button", name=re.compile("Accept and next")).click()
    page.wait_for_url(lambda url: first not in url)
    shows(page, ".panel, aside", "1 of 3")
    with Archive.open(served.folder) as archive:
        mask = archive.case(first).load_masks["brain"]()
        image = archive.case(first).image.array[0]
    assert np.mean(mask == (image > 0.25 * np.percentile(image, 99))) > 0.9


def test_what_is_drawn_before_the_session_is_there_is_not_lost(served: Served, new_page: Callable[..., Page]) -> None:
    page = new_page(served)
    held: list[Route] = []
    page.route("**/api/v1/sessions", lambda route: held.append(route))
    page.goto("/annotate?set=2")
    page.wait_for_selector(".viewer[data-ready]")
    shows(page, "footer", "Draw a box around the brain")
    drag(page, (0.28, 0.06), (0.76, 0.94))
    shows(page, "footer", "Outlining the brain")
    assert held
    assert page.locator(".card.object").count() == 0
    held[0].continue_()
    shows(page, ".card.object", "draft")


def test_the_sets_own_structure_is_outlined_wherever_it_was_opened(served: Served, new_page: Callable[..., Page]) -> None:
    page = new_page(served)
    page.goto("/sets/1")
    page.get_by_role("link", name="Annotate next").click()
    shows(page, "footer", "Draw a box around the whole brain")


def shows(page: Page, where: str, text: str) -> None:
    expect(page.locator(where).first).to_contain_text(text, timeout=60_000)


def key_of(page: Page) -> str:
    return page.url.partition("/annotate/")[2].partition("?")[0]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the large plane to another, each a share of its width and height."""
    edge = page.locator(LARGE).bounding_box()
    assert edge is not None
    begin, stop = ((edge["x"] + x * edge["width"], edge["y"] + y * edge["height"]) for x, y in (start, end))
    page.mouse.move(*begin)
    page.mouse.down()
    page.mouse.move(*stop, steps=8)
    page.mouse.up()


def area(text: str) -> str:
    found = re.search(r"[\d.,]+ cm²", text)
    assert found
    return found[0]
