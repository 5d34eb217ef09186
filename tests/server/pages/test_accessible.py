"""No page and no dialog has a serious fault that axe-core finds, and each can be used at 200 % zoom of a 1280 × 720 screen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.server.pages.clinic import Clinic
from tests.server.pages.drawing import Served

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = [
    "/",
    "/cases/{film}",
    "/cases/{volume}",
    "/cases/{marked}",
    "/sets",
    "/sets/{set}",
    "/jobs",
    "/models",
    "/admin",
    "/help",
    "/annotate/{volume}?structure=ball",
    "/annotate/{film}?structure=lung",
]


@pytest.fixture
def looked(chromium: Browser, clinic: tuple[Served, Clinic]) -> Any:
    """Pages of a browser that axe-core may be put into, which the pages' policy refuses; nothing else differs."""
    served, found = clinic
    contexts = []

    def opened(path: str, width: int = 1280, height: int = 720) -> Page:
        context = chromium.new_context(
            storage_state=served.state, viewport={"width": width, "height": height}, base_url=served.url, bypass_csp=True
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(path.format(**vars(found)))
        _settled(page)
        return page

    yield opened
    for context in contexts:
        context.close()


def _settled(page: Page) -> None:
    page.wait_for_selector("main > *")
    page.wait_for_load_state("networkidle") if "/cases/" in page.url else page.wait_for_timeout(300)


def faults(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with the elements."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=AXE)
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']][:3]}" for one in serious]


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_no_serious_fault(looked: Callable[..., Page], path: str) -> None:
    assert faults(looked(path)) == []


@pytest.mark.parametrize("path", PAGES)
def test_pages_fit_at_twice_their_size(looked: Callable[..., Page], path: str) -> None:
    page = looked(path, 640, 360)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 640
    last = page.locator("main a:visible, main button:visible, main input:visible").last
    last.scroll_into_view_if_needed()
    box = last.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 360
    assert faults(page) == []


DIALOGS = {
    "upload": ("/", "Upload"),
    "set": ("/sets", "New set"),
    "export": ("/sets/{set}", "Export"),
    "train": ("/models", "Train"),
    "card": ("/models", "casewise-encoder"),
    "person": ("/admin", "Add a person"),
    "token": ("/admin", "New token"),
    "token-of-ones-own": ("/help", "New token"),
    "comparison": ("/cases/{film}", "Compare with clear.png"),
    "assign": ("/", "Assign"),
}


@pytest.mark.parametrize("name", DIALOGS)
def test_dialogs_have_no_serious_fault_and_give_the_focus_back(looked: Callable[..., Page], name: str) -> None:
    path, button = DIALOGS[name]
    page = looked(path)
    if name == "assign":
        page.get_by_label("Select all that are listed").check()
    opener = page.get_by_role("button", name=button, exact=name != "comparison").first
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    if name == "comparison":
        expect(dialog.locator(".viewer[data-ready]")).to_have_count(2)
    assert faults(page) == []
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(opener).to_be_focused()


def test_sign_in_has_no_serious_fault(chromium: Browser, clinic: tuple[Served, Clinic]) -> None:
    with chromium.new_context(base_url=clinic[0].url, bypass_csp=True) as context:
        page = context.new_page()
        page.goto("/login")
        assert faults(page) == []
