"""The worklist in a real browser: filters, keyboard, selection, upload, and what happens while it is open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server.jobs import Jobs
from casewise.server.store import Store
from tests.server.pages.clinic import MARKUP, Clinic, claimed
from tests.server.pages.drawing import Served

NewPage = Callable[..., Page]


def drop(page: Page, *paths: Path) -> None:
    """Drag files and folders of this machine over the page and let them go, as a person does."""
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data})
        if kind == "dragOver":
            expect(page.get_by_text("Drop images here")).to_be_visible()


def opened(new_page: NewPage, served: Served, path: str = "/", **size: int) -> Page:
    page = new_page(served, **size)
    page.goto(path)
    page.wait_for_selector("tr[data-key]")
    return page


def rows(page: Page) -> list[str]:
    return page.locator("tr[data-key]").evaluate_all("rows => rows.map(row => row.dataset.key)")


def test_each_image_has_its_findings_state_and_name_as_text(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served)
    film = page.locator(f"tr[data-key='{found.film}']")
    expect(film).to_contain_text("Nodule, right lung, 0.81")
    expect(film).to_contain_text("Analysed")
    expect(film).to_contain_text("Chest X-ray")
    marked = page.locator(f"tr[data-key='{found.marked}']")
    expect(marked.locator("a")).to_have_text(f"{MARKUP}.png")
    expect(marked).to_contain_text("Site <b>east</b>")
    assert page.locator("main img:not(.thumb)").count() == 0
    assert page.title() == "Worklist – casewise"
    expect(page.locator(f"tr[data-key='{found.fresh[0]}']")).to_contain_text("Not analysed yet")
    picture = film.locator("img.thumb")
    picture.scroll_into_view_if_needed()
    expect(picture).to_have_js_property("naturalWidth", 160)


def test_filters_stand_in_the_address_and_empty_lists_say_so(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served)
    everything = len(rows(page))
    page.get_by_role("button", name="north").click()
    page.wait_for_url("**/?site=north")
    expect(page.locator("tr[data-key]")).to_have_count(5)
    page.get_by_role("button", name="New").click()
    expect(page.locator("tr[data-key]")).to_have_count(3)
    page.reload()
    expect(page.locator("tr[data-key]")).to_have_count(3)
    page.get_by_role("searchbox").fill("nothing like it")
    expect(page.get_by_text("No image matches these filters.")).to_be_visible()
    page.get_by_role("button", name="Clear all filters").last.click()
    expect(page.locator("tr[data-key]")).to_have_count(everything)
    page.get_by_label("Order").select_option("finding")
    expect(page.locator("tr[data-key]").first).to_have_attribute("data-key", found.film)


def test_keyboard_alone_finds_selects_and_opens(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served)
    page.keyboard.press("/")
    page.keyboard.type("film.png")
    expect(page.locator("tr[data-key]")).to_have_count(1)
    page.keyboard.press("Escape")  # empties the search field, as browsers do
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator("tr[data-key]")).to_have_count(7)
    page.locator("main").focus()
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.get_by_text("2 of 7 images selected")).to_be_visible()
    first = rows(page)[0]
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cases/{first}")
    page.wait_for_selector(f".viewer[data-ready='{first}']")
    page.wait_for_selector("a[href^='/cases/']:has-text('Next')")
    page.keyboard.press("j")
    page.wait_for_url(lambda url: url.endswith("/cases/" + found.fresh[1]))


def test_files_dropped_on_the_page_are_taken_in_and_refusals_are_listed(
    new_page: NewPage, serve: Callable[..., Served], tmp_path: Path
) -> None:
    served = serve(tmp_path / "archive")
    page = new_page(served)
    page.goto("/")
    expect(page.get_by_role("heading", name="No image yet")).to_be_visible()
    folder = tmp_path / "study" / "series"
    folder.mkdir(parents=True)
    write(folder / "good.png", Image(np.arange(4096, dtype=np.uint8).reshape(1, 64, 64)))
    (tmp_path / "bad.png").write_bytes(b"no image")
    drop(page, folder.parent, tmp_path / "bad.png")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 image added, 1 file refused")
    expect(dialog).to_contain_text("bad.png")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("tr[data-key]")).to_have_count(1)
    expect(page.locator("tr[data-key]")).to_contain_text("good.png")
    with Archive.open(served.folder) as archive:
        assert len(archive) == 1


def test_progress_and_new_images_are_seen_as_they_come(
    new_page: NewPage, changed_clinic: tuple[Served, Clinic], tmp_path: Path
) -> None:
    served, _ = changed_clinic
    store = Store.open(served.folder)
    jobs = Jobs(store)
    with Archive.open(served.folder) as archive:
        first = archive.add(write(tmp_path / "first.png", Image(np.full((1, 64, 64), 7, np.uint8))), category="watched")
        page = opened(new_page, served, "/?category=watched")
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.get_by_role("button", name="Analyse", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("Analysing 1 image")
        job = claimed(jobs, "analyse")
        jobs.heartbeat(job, 3, 8, "Analysing")
        expect(page.locator(".job-strip")).to_contain_text("3 of 8")
        archive.record_result({"headline": "Nodule, left lung, 0.60", "findings": []}, first)
        jobs.finish(job, {})
        expect(page.locator("tr[data-key]")).to_contain_text("Nodule, left lung, 0.60")
        expect(page.locator(".job-strip")).to_be_hidden()
        archive.add(write(tmp_path / "second.png", Image(np.full((1, 64, 64), 9, np.uint8))), category="watched")
        show = page.get_by_role("button", name="1 new image: show")
        expect(show).to_be_visible()
        assert rows(page) == [first]  # nothing moves before it is asked for
        show.click()
        expect(page.locator("tr[data-key]")).to_have_count(2)
    store.close()


def test_new_images_are_counted_while_the_rows_are_asked_for_again(
    new_page: NewPage, changed_clinic: tuple[Served, Clinic], tmp_path: Path
) -> None:
    served, _ = changed_clinic
    store = Store.open(served.folder)
    jobs = Jobs(store)
    with Archive.open(served.folder) as archive:
        archive.add(write(tmp_path / "first.png", Image(np.full((1, 64, 64), 17, np.uint8))), category="slow")
        page = opened(new_page, served, "/?category=slow")
        page.keyboard.press("j")
        page.keyboard.press("x")
        page.get_by_role("button", name="Analyse", exact=True).click()
        job = claimed(jobs, "analyse")
        network = page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
        network.send("Network.emulateNetworkConditions", slow)
        archive.add(write(tmp_path / "second.png", Image(np.full((1, 64, 64), 19, np.uint8))), category="slow")
        jobs.finish(job, {})  # asks for the rows again before the count has come
        expect(page.get_by_role("button", name="1 new image: show")).to_be_visible()
    store.close()


def test_selected_images_are_assigned_and_made_a_set(
    new_page: NewPage, changed_clinic: tuple[Served, Clinic], tmp_path: Path
) -> None:
    served, _ = changed_clinic
    with Archive.open(served.folder) as archive:
        for n in range(3):
            archive.add(write(tmp_path / f"{n}.png", Image(np.full((1, 64, 64), 40 * n, np.uint8))), category="chosen")
    page = opened(new_page, served, "/?category=chosen")
    page.get_by_label("Select all that are listed").check()
    page.get_by_role("button", name="Assign").click()
    page.get_by_role("dialog").get_by_role("button", name="Assign").click()
    expect(page.locator("td.assigned").first).to_have_text("local")
    page.get_by_role("button", name="Add to set").click()
    page.get_by_label("Name").fill("Three")
    page.get_by_label("Structure").fill("disc")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sets/2")
    expect(page.get_by_role("heading", name="Three")).to_be_visible()
    expect(page.locator("tr[data-state='waiting']")).to_have_count(3)
