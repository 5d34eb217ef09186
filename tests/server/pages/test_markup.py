"""Names that are markup are displayed as text on every page, and what they would load or run is neither loaded nor run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server.audit import record
from casewise.server.jobs import Jobs
from casewise.server.store import Store
from tests.server.pages.drawing import Served

MARKUP = "<img src=x onerror=document.title='taken'>"
PAGES = ("/", "/cases/{key}", "/annotate/{key}?structure=spot", "/sets", "/sets/1", "/jobs", "/models", "/admin", "/help")


def test_markup_in_names_is_text_on_every_page(serve: Callable[..., Served], new_page: Callable[..., Page], tmp_path: Path) -> None:
    key = _filled(tmp_path)
    page = new_page(serve(tmp_path / "archive"))
    page.on("dialog", lambda dialog: (_ for _ in ()).throw(AssertionError(dialog.message)))
    page.goto("/sets")
    page.evaluate(
        """([name, key]) => fetch('/api/v1/sets', {method: 'POST', body: JSON.stringify({name, structure: name, cases: [key]}),
        headers: {'Content-Type': 'application/json', 'X-Casewise': '1'}}).then(answer => answer.status)""",
        [MARKUP, key],
    )
    for address in PAGES:
        page.goto(address.format(key=key))
        page.wait_for_load_state("networkidle")
        assert page.title() != "taken", address
        assert page.locator("img[src=x]").count() == 0, address
    page.goto("/sets")
    expect(page.get_by_text(MARKUP).first).to_be_visible()


def _filled(folder: Path) -> str:
    path = folder / "picture.png"
    write(path, Image(np.arange(1024, dtype=np.uint8).reshape(1, 32, 32)))
    with Archive.open(folder / "archive", create=True) as archive:
        key = archive.add(
            path,
            {"spot": np.eye(32, dtype=bool), MARKUP: np.eye(32, dtype=bool)},
            category=MARKUP,
            site=MARKUP,
            name=f"{MARKUP}.png",
        )
        finding = {"application": MARKUP, "label": MARKUP, "kind": "finding", "probability": 0.7, "sentence": MARKUP}
        archive.record_result({"headline": MARKUP, "findings": [finding], "notes": [MARKUP]}, key)
        store = Store.open(archive.folder)
        jobs = Jobs(store)
        jobs.add("analyse", {"cases": [key], "title": MARKUP}, created_by=MARKUP)
        claimed = jobs.claim("test")
        assert claimed is not None
        jobs.fail(claimed, MARKUP)
        record(store, MARKUP, MARKUP, MARKUP, MARKUP, MARKUP)
        store.close()
    return key
