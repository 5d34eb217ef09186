"""OHIF itself in Chromium, on casewise's DICOMweb: results lie on the anatomy, pixel by pixel of the screen.

Nothing is asked of another server and no script fails. OHIF is that of ``make ohif``, which these tests call where it is missing.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image as Picture
from playwright.sync_api import Page, Playwright, Route
from skimage.draw import polygon2mask
from skimage.measure import label

from casewise.finding import Finding
from casewise.pipeline.recorded import results_folder
from casewise.reporting.dicom_objects import About, write_objects
from casewise.server.logins import sign_in
from casewise.server.settings import OHIF_FILES, Settings
from tests.dicom_studies import Series, film, oblique_mr
from tests.programs import missing
from tests.server.dicomweb.conftest import Served

ROOT = Path(__file__).parents[3]
SOFTWARE = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
PATIENCE = 450.0  # seconds; OHIF paints without a graphics card
SCREENSHOTS = os.environ.get("CASEWISE_TEST_SCREENSHOTS")
Bits = np.ndarray


@pytest.fixture(scope="module")
def ohif() -> None:
    with FileLock(f"{OHIF_FILES}.lock"):
        if not (OHIF_FILES / "index.html").is_file():
            made = subprocess.run(["make", "ohif"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
            if made.returncode:
                missing(f"OHIF from npm ({(made.stderr.strip().splitlines() or ['make ohif failed'])[-1]})")


class Viewer:
    """A page of OHIF, and what it asked for and complained about."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.troubles = page, list[str]()
        page.set_default_timeout(PATIENCE * 1000)
        page.add_init_script("sessionStorage.setItem('investigationalUseDialog', 'hidden')")
        own = (f"{url}/", "blob:", "data:")
        page.on("request", lambda request: None if request.url.startswith(own) else self.troubles.append(request.url))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda line: self.troubles.append(line.text) if line.type == "error" else None)

    def open(self, name: str, shown: Callable[[], object]) -> None:
        """A series of the list, by its description. OHIF on a busy machine opens a report at times and never paints its line; the
        page is loaded again then, as the guide says.
        """
        again = time.monotonic() + PATIENCE / 3
        self.page.get_by_text(name).first.dblclick()

        def there() -> object:
            nonlocal again
            if time.monotonic() > again:
                again += PATIENCE / 3
                self.page.reload()
                self.page.wait_for_selector("canvas.cornerstone-canvas")
                self.page.get_by_text(name).first.dblclick()
            return shown()

        self.until(there, f"{name} is not displayed")

    def report(self) -> None:
        self.open("casewise report", self.page.locator("svg.svg-layer polyline").count)

    def until(self, holds: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"{what}; {self.troubles}"
            self._stir()
            self.page.wait_for_timeout(300)

    def at(self) -> int:
        """The number of the instance that is displayed."""
        found = re.search(r"I:\s*(\d+)", self.page.locator("[data-cy=viewport-overlay-bottom-right]").first.inner_text())
        return int(found[1]) if found else 0

    def go(self, number: int) -> None:
        """To an instance of a volume by the wheel; OHIF counts from the last one."""
        self._stir()

        def there() -> bool:
            now = self.at()
            if now != number and now:
                self.page.mouse.wheel(0, 100 if now > number else -100)
            return now == number

        self.until(there, f"instance {number} is not reached")

    def pixels(self, name: str) -> np.ndarray:
        """(height, width, 3) int: what the viewport displays."""
        content = self.page.screenshot(clip=self._box())
        if SCREENSHOTS:
            Path(SCREENSHOTS, f"{name}.png").write_bytes(self.page.screenshot())
        return np.asarray(Picture.open(io.BytesIO(content)).convert("RGB")).astype(int)

    def line(self) -> Bits:
        """(height, width) bool: what lies within the report's line."""
        points = self.page.locator("svg.svg-layer polyline").first.get_attribute("points") or ""
        numbers = np.array([float(n) for n in re.findall(r"-?[\d.]+", points)]).reshape(-1, 2)
        box = self._box()
        return polygon2mask((int(box["height"]), int(box["width"])), numbers[:, ::-1])

    def _stir(self) -> None:
        """Move the mouse in the viewport: what OHIF adds late it paints with the next event."""
        box = self._box()
        self.page.mouse.move(box["x"] + box["width"] / 2 + time.monotonic() * 10 % 50, box["y"] + box["height"] / 2)

    def _box(self) -> dict[str, float]:
        """Where the viewport is, once it is there: OHIF makes it anew for another series."""
        end = time.monotonic() + PATIENCE
        while (found := self.page.locator("canvas.cornerstone-canvas").first.bounding_box()) is None:
            assert time.monotonic() < end, f"there is no viewport; {self.troubles}"
            self.page.wait_for_timeout(200)
        return {name: round(value) for name, value in found.items()}


def opened(served: Served, made: Series, kinds: list[str], page: Page) -> Viewer:
    """OHIF on the study of a series for which a result was recorded, opened from its case."""
    (record,) = served.archive.images()
    image = served.archive.case(record.key).image
    folder = results_folder(served.archive.folder, record.key, 7)
    folder.mkdir(parents=True)
    finding = Finding("nodules", "nodule", 0.8125, region="right lung", measures={"longest_diameter_mm": 7.2})
    write_objects(folder, image, [finding], {"nodule": made.mask}, kinds, about=About("Nodule, right lung, 0.81"))
    served.archive.record_result({"headline": "Nodule", "job": 7, "findings": []}, record.key)
    viewer = Viewer(page, served.url)
    cookie = sign_in(served.store, "rita", "reader", Settings())
    page.context.add_cookies([{"name": f"casewise-{urlsplit(served.url).port}", "value": cookie, "url": served.url}])
    page.goto(f"{served.url}/cases/{record.key}/ohif")
    page.wait_for_selector("canvas.cornerstone-canvas")
    viewer.until(lambda: viewer.pixels("begin")[..., 1].std() > 5, "nothing is displayed")
    return viewer


@pytest.fixture
def page(ohif: None, playwright: Playwright) -> Iterator[Page]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium")
    browser = playwright.chromium.launch(executable_path=path, args=list(SOFTWARE))
    yield browser.new_page(viewport={"width": 1100, "height": 700})
    browser.close()


def largest(bits: Bits) -> Bits:
    parts = label(bits)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return (parts == sizes.argmax()) & bits


def same_place(one: Bits, other: Bits) -> None:
    """The centres are at most 2 pixels of the screen apart, and four fifths of both areas are common."""
    centres = [np.argwhere(bits).mean(axis=0) for bits in (one, other)]
    assert np.abs(centres[0] - centres[1]).max() < 2, centres
    assert np.count_nonzero(one & other) > 0.8 * np.count_nonzero(one | other)


def coloured(pixels: np.ndarray, least: int = 50) -> Bits:
    """What has a colour and is no letter, button or frame of OHIF's: these stand at the viewport's edges."""
    bits = pixels.max(axis=-1) - pixels.min(axis=-1) > least
    inner = np.zeros_like(bits)
    part = slice(110, -70), slice(120, -70)
    inner[part] = bits[part]
    return largest(inner)


def test_segmentation_and_report_lie_on_an_oblique_mr(serve: Callable[..., Served], tmp_path: Path, page: Page) -> None:
    made = oblique_mr(tmp_path / "files")
    viewer = opened(serve(tmp_path / "files"), made, ["seg", "sr"], page)
    number = 11  # of the slice that the report's line lies on
    viewer.go(number)
    viewer.until(lambda: viewer.pixels("mr").max() > 200, "the structure is not displayed")
    bright = largest(viewer.pixels("mr").min(axis=-1) > 130)
    viewer.report()
    viewer.until(lambda: viewer.at() == number, "OHIF does not go to the line's slice")
    same_place(viewer.line(), bright)
    viewer.pixels("mr-report")
    viewer.open("casewise segmentation", page.get_by_role("button", name="Yes").count)
    page.get_by_role("button", name="Yes").click()
    viewer.go(number)
    viewer.until(lambda: np.count_nonzero(coloured(viewer.pixels("mr-segmentation"))) > 1000, "the segmentation is not displayed")
    same_place(coloured(viewer.pixels("mr-segmentation")), bright)
    assert viewer.troubles == []


def test_an_ohif_of_others_draws_the_report_on_slices_of_square_pixels(
    serve: Callable[..., Served], tmp_path: Path, page: Page
) -> None:
    def as_published(route: Route) -> None:
        given = route.fetch()
        lines = given.text().splitlines(keepends=True)
        assert sum("onBeforeSRAddMeasurement" in line for line in lines) == 1
        route.fulfill(response=given, body="".join(line for line in lines if "onBeforeSRAddMeasurement" not in line))

    page.route("**/app-config.js", as_published)
    made = oblique_mr(tmp_path / "files", spacing=(1.3, 1.3))
    viewer = opened(serve(tmp_path / "files"), made, ["sr"], page)
    viewer.report()
    viewer.line()
    viewer.until(lambda: viewer.pixels("square").max() > 200, "the structure is not displayed")
    same_place(viewer.line(), largest(viewer.pixels("square-report").min(axis=-1) > 130))
    assert viewer.troubles == []


def test_report_and_capture_of_a_film(serve: Callable[..., Served], tmp_path: Path, page: Page) -> None:
    made = film(tmp_path / "files")
    viewer = opened(serve(tmp_path / "files"), made, ["sr", "capture"], page)
    height, width = viewer.pixels("film").shape[:2]
    scale = height / 3000
    row, column = made.centre * scale + (0, (width - 2500 * scale) / 2)  # the film fills the height
    disc = disc_at(viewer.pixels("film"), row, column)
    assert np.abs(np.argwhere(disc).mean(axis=0) - (row, column)).max() < 2
    viewer.report()
    same_place(viewer.line(), disc)
    viewer.pixels("film-report")
    viewer.open("casewise picture", lambda: np.count_nonzero(coloured(viewer.pixels("film-capture"), 20)) > 400)
    pixels = viewer.pixels("film-capture")
    marked = coloured(pixels, 20)
    same_place(marked, disc_at(pixels, *np.argwhere(marked).mean(axis=0)))
    assert viewer.troubles == []


def disc_at(pixels: np.ndarray, row: float, column: float) -> Bits:
    """The bright disc in the dark lung at a place."""
    grey = pixels.mean(axis=-1)
    near = np.zeros(grey.shape, bool)
    near[int(row) - 40 : int(row) + 40, int(column) - 40 : int(column) + 40] = True
    return largest(near & (grey > 95))
