"""The three-dimensional view: fetched on demand, drawn under the page's own policy, masks in amber; a sentence without WebGL."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Page, expect

from tests.server.pages.clinic import Clinic
from tests.server.pages.conftest import ARGUMENTS
from tests.server.pages.drawing import Served

IN_SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
SLOW = 120_000  # ms: the processor draws what a graphics card draws elsewhere


@pytest.fixture
def page(chromium: Browser, clinic: tuple[Served, Clinic]) -> Iterator[Page]:
    """The case page of the volume, in a browser that has WebGL; nothing was logged or asked of elsewhere at the end."""
    served, found = clinic
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    arguments = [one for one in ARGUMENTS if one != "--disable-gpu"]
    browser = chromium.browser_type.launch(executable_path=path, args=[*arguments, *IN_SOFTWARE])
    opened = browser.new_page(storage_state=served.state, base_url=served.url, viewport={"width": 1280, "height": 720})
    opened.set_default_timeout(SLOW)
    lines, asked = list[str](), list[str]()
    opened.on("console", lambda line: lines.append(line.text) if "violates" in line.text or line.type == "error" else None)
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"/cases/{found.volume}")
    opened.wait_for_selector(".viewer[data-ready]")
    assert not any("niivue" in url for url in asked)  # only when it is asked for
    yield opened
    assert lines == []
    assert [url for url in asked if not url.startswith((served.url, "blob:"))] == []
    browser.close()


def colours(page: Page) -> np.ndarray:
    """(rows, columns, 3): the view as it is seen."""
    shot = page.locator(".space-canvas").screenshot(timeout=SLOW)
    return np.asarray(Picture.open(io.BytesIO(shot)).convert("RGB"), np.int32)


def test_the_volume_and_its_mask_are_drawn(page: Page) -> None:
    page.get_by_role("button", name="3D").click()
    page.wait_for_selector(".space-canvas[data-ready]")
    grey = colours(page)
    assert (grey.max(axis=2) > 40).mean() > 0.02
    assert (grey[..., 0] - grey[..., 2] > 40).mean() < 0.001
    page.get_by_role("dialog").get_by_label("Mask").select_option("ball")
    end = time.monotonic() + SLOW / 1000
    while (now := colours(page), (now[..., 0] - now[..., 2] > 40).mean())[1] < 0.01:
        assert time.monotonic() < end
        time.sleep(0.5)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_without_webgl_a_sentence_says_what_to_do(new_page: Callable[..., Page], clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = new_page(served)
    page.add_init_script(
        "HTMLCanvasElement.prototype.getContext = new Proxy(HTMLCanvasElement.prototype.getContext, {"
        "apply: (call, canvas, [kind, ...rest]) => kind.startsWith('webgl') ? null : call.call(canvas, kind, ...rest) })"
    )
    page.goto(f"/cases/{found.volume}")
    page.get_by_role("button", name="3D").click()
    expect(page.get_by_role("dialog")).to_contain_text("This browser has no WebGL 2")


def test_pictures_have_no_three_dimensional_view(new_page: Callable[..., Page], clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = new_page(served)
    page.goto(f"/cases/{found.film}")
    page.wait_for_selector(".viewer[data-ready]")
    expect(page.get_by_role("button", name="3D")).to_have_count(0)
