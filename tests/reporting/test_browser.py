"""The page in a real browser, where one is installed: its script runs under its own policy, and its controls do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.image import Image
from casewise.reporting.pictures import display_range, to_pixels
from casewise.reporting.report import write_report
from casewise.result import Result
from tests.reporting.pages import decoded, disc
from tests.reporting.segmented import segmented

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1280,1000",
    "--enable-logging=stderr",
    "--dump-dom",
)

# What a person would do, and what is visible after each step.
ACTIONS = """{
const checked = [];
const hidden = (e) => e !== null && (getComputedStyle(e).display === "none" || hidden(e.parentElement));
const visible = (selector) => [...document.querySelectorAll(selector)].filter((e) => !hidden(e)).length;
checked.push(["findings alone at first", visible("main path.mask") === 0 && visible("main .frame.alone") > 0]);
document.querySelector(".structure").click();
checked.push(["outline on request", visible("main path.mask") > 0]);
document.getElementById("overlay").click();
checked.push(["overlay off", visible("main path.mask") === 0 && visible("main .frame") === 0]);
document.dispatchEvent(new KeyboardEvent("keydown", {key: "o"}));
checked.push(["overlay on", visible("main path.mask") > 0]);
document.querySelector(".structure").click();
checked.push(["structure off", visible("main path.m0") === 0 && visible("main .frame.alone") > 0]);
document.querySelector(".structure").click();
const fill = document.getElementById("fill");
fill.value = 80; fill.dispatchEvent(new Event("input"));
checked.push(["fill", getComputedStyle(document.querySelector("path.mask")).fillOpacity === "0.8"]);
document.querySelectorAll(".show")[1].click();
const drawing = document.querySelector("#stage svg"), stage = document.getElementById("stage");
checked.push(["viewer", document.getElementById("viewer").open && drawing.querySelector("use") !== null]);
document.querySelector('[data-zoom="8"]').click();
checked.push(["8:1", Math.abs(drawing.getBoundingClientRect().width - 128 * 8 / devicePixelRatio) < 1]);
document.querySelector(".show[data-finding='0']").click();
checked.push(["lungs' box", document.querySelectorAll("#stage .frame:not(.off)").length === 2]);
document.getElementById("close").click();
checked.push(["closed", !document.getElementById("viewer").open]);
document.body.dataset.checked = checked.filter(([, right]) => !right).map(([name]) => name).join(";") || "all";
}"""


# Opens a mark's segment by a click, another by the keyboard and one by a link; tells the sizes of its pixels, in the file and as
# they are displayed. The load event waits for the files, and the browser's answer for the load event.
MARKS = """{
const stage = document.getElementById("stage"), viewer = document.getElementById("viewer"), told = [], files = new Map();
for (const pixels of document.querySelectorAll(".pixels")) {
  const file = document.body.appendChild(new Image());
  file.src = pixels.href.baseVal;
  files.set(file.src, file);
}
const tell = () => {
  const pixels = stage.querySelector(".pixels"), file = files.get(pixels.href.baseVal);
  const { width, height } = pixels.getBoundingClientRect();
  told.push([viewer.open, file.naturalWidth, file.naturalHeight, width * devicePixelRatio, height * devicePixelRatio].join(" "));
};
const shown = (selector) => [...stage.querySelectorAll(selector)].some((part) => part.getBoundingClientRect().width > 0);
addEventListener("load", () => {
  const marks = [...document.querySelectorAll(".mark")], place = marks[0].getBoundingClientRect();
  const hit = document.elementFromPoint(place.x + place.width / 2, place.y + place.height / 2);
  told.push(hit === marks[0]);
  hit.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  tell();
  told.push([shown(".frame"), shown(".heat")].join(" "));
  document.getElementById("segment-marks").click();
  document.getElementById("segment-heat").click();
  told.push([shown(".frame"), shown(".heat")].join(" "));
  document.getElementById("close").click();
  marks[1].focus();
  marks[1].dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true}));
  tell();
  document.getElementById("close").click();
  document.querySelector(".panel").click();
  told.push(document.getElementById("segment-tools").hidden);
  document.getElementById("close").click();
  location.hash = "#finding-0";
  dispatchEvent(new HashChangeEvent("hashchange"));
  tell();
  document.body.dataset.told = told.join(";");
});
}"""


def browse(path: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """(the page after its scripts, what the browser's console said)."""
    command = [str(BROWSER), *OPTIONS, *options, f"--user-data-dir={profile}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture
def report(tmp_path: Path, picture: Image, result: Result, similar) -> Path:
    return write_report(result, picture, {"lungs": disc(picture.spatial_shape)}, tmp_path, similar)


def test_the_page_runs_under_its_own_policy_without_a_complaint(report, tmp_path):
    page, console = browse(report, tmp_path / "profile")
    assert 'data-ready="yes"' in page
    assert console == []


def test_a_foreign_script_does_not_run(report, tmp_path):
    report.write_text(report.read_text().replace("</main>", "<script>document.body.dataset.foreign = 'ran'</script></main>"))
    page, console = browse(report, tmp_path / "profile")
    assert "data-foreign" not in page and 'data-ready="yes"' in page
    assert any("Content Security Policy" in line for line in console)


def test_the_controls_do_what_they_say(report, tmp_path):
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    report.write_text(open_page.replace("</body>", f"<script>{ACTIONS}</script></body>"))
    page, console = browse(report, tmp_path / "profile")
    assert console == []
    assert re.findall(r'data-checked="([^"]*)"', page) == ["all"]


@pytest.mark.parametrize("ratio", ["1", "1.5"])
def test_a_mark_opens_its_segment_pixel_by_pixel(ratio: str, tmp_path: Path) -> None:
    film = segmented(tmp_path)
    report = film.written(tmp_path / "report")
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report.read_text())
    report.write_text(open_page.replace("</body>", f"<script>{MARKS}</script></body>"))
    page, console = browse(report, tmp_path / "profile", f"--force-device-scale-factor={ratio}")
    assert console == []
    (told,) = re.findall(r'data-told="([^"]*)"', page)
    hit, first, plain, changed, second, tools, linked = told.split(";")
    assert (hit, plain, changed, tools) == ("true", "true false", "false true", "true")
    for said, segment in ((first, film.cut[0]), (second, film.cut[1]), (linked, film.cut[0])):
        is_open, *sizes = said.split()
        height, width = segment.shape
        assert is_open == "true"
        assert [float(size) for size in sizes] == pytest.approx([width, height, width, height], abs=0.01)
    opened = re.search(r'<div id="stage".*?class="pixels"[^>]*href="([^"]*)"', page, re.DOTALL)
    assert opened is not None
    expected = np.rint(film.cut.pixels(film.image.array, film.cut[0])[0])
    assert np.array_equal(decoded(opened[1]), to_pixels(expected, *display_range(film.image)))


@pytest.mark.parametrize("ratio", ["1", "1.5"])
def test_a_pixel_of_a_segment_is_a_pixel_of_the_screen(ratio: str, tmp_path: Path) -> None:
    film = segmented(tmp_path)
    report = film.written(tmp_path / "report")
    report.write_text(report.read_text().replace('id="segment-marks" checked', 'id="segment-marks"'))
    picture = tmp_path / "screen.png"
    options = [option for option in OPTIONS if option != "--dump-dom"]
    command = [str(BROWSER), *options, f"--screenshot={picture}", f"--force-device-scale-factor={ratio}", "--window-size=1281,1001"]
    address = f"{report.as_uri()}#finding-0"
    subprocess.run([*command, f"--user-data-dir={tmp_path / 'profile'}", address], capture_output=True, timeout=120, check=False)
    screen = np.asarray(Pillow.open(picture).convert("RGB"))[..., 0]
    expected = to_pixels(np.rint(film.cut.pixels(film.image.array, film.cut[0])[0]), *display_range(film.image))
    height, width = expected.shape
    corners = screen[: -height + 1, : -width + 1]
    alike = np.ones(corners.shape, bool)
    for row, column in (
        (0, 0),
        (height - 1, width - 1),
        (height // 2, width // 2),
        (height // 3, width // 2),
        (height // 2, width // 3),
    ):
        alike &= screen[row : row + corners.shape[0], column : column + corners.shape[1]] == expected[row, column]
    assert any(np.array_equal(screen[y : y + height, x : x + width], expected) for y, x in np.argwhere(alike))
