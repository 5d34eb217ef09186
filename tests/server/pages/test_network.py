"""The page on the network, and sending from the case page: a served archive, Orthanc, and a real browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Locator, Page, expect

from casewise.archive import Archive
from casewise.server.dicom.outbox_rows import Outbox
from casewise.server.network_tables import arrivals
from casewise.server.store import Store
from tests.orthanc import Orthanc, free_port, orthanc
from tests.server.dicom.analysed import Clinic, clinic
from tests.server.pages.drawing import Served
from tests.server.pages.test_accessible import faults

NewPage = Callable[..., Page]
SETTINGS = """
ae_title = "CASEWISE"
[[senders]]
ae_title = "CT1"
site = "north"
[nodes.pacs]
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {port}
[nodes.away]
ae_title = "AWAY"
host = "127.0.0.1"
port = {away}
[results]
send = ["pacs"]
[outbox]
retry_seconds = [0.5]
"""


@dataclass(eq=False)
class Hospital:
    served: Served
    found: Clinic
    pacs: Orthanc


@pytest.fixture(scope="module")
def hospital(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """A server with a worker and a DICOM process, its archive with two analysed images and arrivals, and a PACS."""
    folder = tmp_path_factory.mktemp("network")
    with orthanc(folder / "pacs") as pacs:
        with Archive.open(folder / "archive", create=True) as archive:
            found = clinic(archive, folder / "given")
            found.analyse(found.film)
            found.analyse(found.mr)
            (archive.folder / "dicom.toml").write_text(SETTINGS.format(port=pacs.port, away=free_port()))
            _arrived(archive.folder, found.mr)
        served = serve(folder / "archive", "--workers", "1", "--dicom-port", str(free_port()))
        yield Hospital(served, found, pacs)


def _arrived(folder: Path, key: str) -> None:
    store = Store.open(folder)
    with store.write() as connection:
        about = {"study_uid": "1.2", "calling_ae": "CT1", "address": "10.0.0.7", "site": "north", "modality": "CT", "first": 1.79e9}
        sound = {"state": "taken in", "image_keys": [key], "instances": 24, "version": 2}
        broken = {"state": "failed", "error": "1.dcm is damaged; send it again.", "instances": 3, "expected": 24}
        connection.execute(sa.insert(arrivals).values(series_uid="1.2.1", last=1.79e9, **about, **sound))
        connection.execute(sa.insert(arrivals).values(series_uid="1.2.2", last=1.79e9 + 60, **about, **broken))
    store.close()


def test_results_are_sent_from_the_case_page_and_arrive(new_page: NewPage, hospital: Hospital) -> None:
    page = new_page(hospital.served)
    page.goto(f"/cases/{hospital.found.mr}")
    part = page.get_by_role("region", name="Other systems")
    expect(part).to_contain_text("Nothing of this case was sent.")
    part.get_by_role("button", name="Send to …").click()
    dialog = page.get_by_role("dialog", name="Send the results")
    assert _checked(dialog.locator("input")) == ["pacs", "seg", "sr"]
    dialog.get_by_label("Segmentation").uncheck()
    dialog.get_by_label("Structured report").uncheck()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog).to_contain_text("Choose what to send.")
    dialog.get_by_label("Structured report").check()
    dialog.get_by_label("Segmentation").check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(part.locator("li")).to_have_count(2, timeout=60_000)
    for words in ("Segmentation → pacs", "Structured report → pacs"):
        expect(part.locator("li").filter(has_text=words)).to_contain_text("Sent", timeout=60_000)
    assert len(hospital.pacs.found()) == 2


def test_a_given_up_object_says_why_and_is_sent_again(new_page: NewPage, hospital: Hospital) -> None:
    page = new_page(hospital.served)
    page.goto(f"/cases/{hospital.found.film}")
    page.get_by_role("button", name="Send to …").click()
    dialog = page.get_by_role("dialog", name="Send the results")
    expect(dialog).to_contain_text("Some viewers show nothing of a study that has a segmentation of a radiograph.")
    dialog.get_by_label("pacs").uncheck()
    dialog.get_by_label("away").check()
    dialog.get_by_role("button", name="Send", exact=True).click()
    part = page.get_by_role("region", name="Other systems")
    expect(part.locator("li").filter(has_text="Given up")).to_have_count(2, timeout=60_000)
    page.goto("/dicom")
    lines = page.get_by_role("region", name="On the way").locator("tr[data-object]")
    expect(page.get_by_role("region", name="On the way")).to_contain_text("2 given up")
    page.get_by_label("State").select_option("dead")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("cannot be reached")
    lines.first.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("status").last).to_contain_text("It is sent again.")
    page.get_by_role("button", name="Send all again").click()
    store = Store.open(hospital.served.folder)
    try:
        assert {row.created_by for row in Outbox(store).list() if row.target == "away"} == {"local"}
    finally:
        store.close()


def test_the_network_page_has_systems_arrivals_and_senders(new_page: NewPage, hospital: Hospital) -> None:
    page = new_page(hospital.served, quiet=False)
    page.goto("/")
    page.get_by_role("link", name="Network").click()
    expect(page.locator("h1")).to_have_text("Network")
    expect(page.locator(".page-head")).to_contain_text("casewise is called CASEWISE and receives at 127.0.0.1:")
    pacs = page.locator("tr[data-system='pacs']")
    expect(pacs).to_contain_text("All of received images")
    pacs.get_by_role("button", name="Test connection").click()
    expect(pacs).to_contain_text("✓ Answers in")
    away = page.locator("tr[data-system='away']")
    away.get_by_role("button", name="Test connection").click()
    expect(away).to_contain_text("cannot be reached")
    series = page.get_by_role("region", name="Arrived").locator("tr[data-series]")
    expect(series).to_have_count(2)
    expect(series.first).to_contain_text("1.dcm is damaged; send it again.")
    expect(series.first).to_contain_text("3 of 24")
    expect(series.nth(1)).to_contain_text("came in 2 parts")
    expect(series.nth(1).get_by_role("link", name="Open")).to_have_attribute("href", f"/cases/{hospital.found.mr}")
    expect(page.get_by_role("region", name="Senders")).to_contain_text("CT1")


def test_the_network_page_follows_what_comes(new_page: NewPage, hospital: Hospital) -> None:
    page = new_page(hospital.served)
    page.goto("/dicom")
    series = page.get_by_role("region", name="Arrived").locator("tr[data-series]")
    expect(series).to_have_count(2)
    store = Store.open(hospital.served.folder)
    with store.write() as connection:
        about = {"study_uid": "1.3", "calling_ae": "CT1", "modality": "MR", "first": 1.8e9, "last": 1.8e9, "instances": 5}
        connection.execute(sa.insert(arrivals).values(series_uid="1.3.1", state="failed", **about))
    expect(series).to_have_count(3)
    expect(series.first).to_contain_text("MR")
    with store.write() as connection:
        connection.execute(sa.delete(arrivals).where(arrivals.c.series_uid == "1.3.1"))
    store.close()
    expect(series).to_have_count(2)


@pytest.mark.parametrize("path", ["/dicom", "/cases/{film}"])
def test_pages_with_a_network_have_no_serious_fault(chromium: Browser, hospital: Hospital, path: str) -> None:
    served, size = hospital.served, {"width": 1280, "height": 720}
    context = chromium.new_context(storage_state=served.state, viewport=size, base_url=served.url, bypass_csp=True)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.goto(path.format(film=hospital.found.film))
        page.wait_for_selector("section[aria-label='Systems'] table, section[aria-label='Other systems'] h2")
        assert faults(page) == []
        page.set_viewport_size({"width": 640, "height": 360})  # at twice its size
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 640
        assert faults(page) == []
    finally:
        context.close()


def _checked(boxes: Locator) -> list[str | None]:
    return [box.get_attribute("value") for box in boxes.all() if box.is_checked()]
