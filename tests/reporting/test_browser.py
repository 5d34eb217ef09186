"""The page in a real browser, where one is installed: its script runs under its own policy, and its controls do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from casewise.image import Image
from casewise.reporting.report import write_report
from casewise.result import Result
from tests.reporting.pages import disc

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


def browse(path: Path, profile: Path) -> tuple[str, list[str]]:
    """(the page after its scripts, what the browser's console said)."""
    command = [str(BROWSER), *OPTIONS, f"--user-data-dir={profile}", path.as_uri()]
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
