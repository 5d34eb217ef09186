"""A served archive and a real browser: what the page draws is looked at in pixels, what it keeps is read back from the files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from casewise.archive import Archive
from casewise.server.pages import STATIC
from tests.server.pages.clinic import Clinic, furnish
from tests.server.pages.drawing import Served

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

expect.set_options(timeout=60_000)  # where all cores are busy, a page may need longer than the five seconds it has by default


@dataclass
class Seen:
    """What a browser did that it must not do."""

    elsewhere: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@pytest.fixture(scope="session")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """A browser; the page must be built."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None or not (STATIC / "page.js").is_file():
        reason = "no Chromium on this machine" if path is None else "the page is not built: make page"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def serve(chromium: Browser) -> Iterator[Callable[..., Served]]:
    """Serve the archive in a folder, and sign in by its one-time link."""
    running: list[Served] = []

    def started(folder: Path, *options: str) -> Served:
        Archive.open(folder, create=True).close()
        command = [sys.executable, "-m", "casewise", "serve", str(folder), "--port", "0", "--workers", "0", "--json", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        served = Served(said["url"], folder, process=process)
        running.append(served)
        with chromium.new_context() as context:
            page = context.new_page()
            page.goto(said["link"])
            if page.get_by_role("button").count():
                page.get_by_role("button").first.click()
            page.wait_for_selector("nav.links a")
            served.state = context.storage_state()
        return served

    yield started
    processes = [served.process for served in running if served.process is not None]
    for process in processes:  # all at once: one after the other they took minutes where the machine was busy
        process.terminate()
    for process in processes:
        process.wait(120)


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Pages in which the person is signed in; at the end of the test: no error was logged, and nothing was asked of elsewhere."""
    seen, contexts = Seen(), list[BrowserContext]()

    def opened(served: Served, *, ratio: float = 1, width: int = 1280, height: int = 720, quiet: bool = True) -> Page:
        context = chromium.new_context(
            storage_state=served.state, viewport={"width": width, "height": height}, device_scale_factor=ratio, base_url=served.url
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: _look(seen, served, request.url))
        if quiet:
            page.on("console", lambda line: seen.errors.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not seen.elsewhere
    assert not seen.errors


def _look(seen: Seen, served: Served, url: str) -> None:
    if urlsplit(url).scheme not in ("blob", "data") and not url.startswith(f"{served.url}/"):
        seen.elsewhere.append(url)


@pytest.fixture(scope="session")
def clinic(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, Clinic]:
    """A server whose pages have something to display, and the keys of its images; for tests that change nothing of them."""
    folder = tmp_path_factory.mktemp("clinic")
    found = furnish(folder / "archive", folder / "files")
    return serve(folder / "archive"), found


@pytest.fixture(scope="session")
def changed_clinic(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, Clinic]:
    """Another one, for tests that change something: each another image, or by adding its own."""
    folder = tmp_path_factory.mktemp("changed")
    found = furnish(folder / "archive", folder / "files")
    return serve(folder / "archive"), found
