"""Sets, jobs, models and admin in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from casewise.server.jobs import Jobs
from casewise.server.store import Store
from tests.server.pages.clinic import MARKUP, Clinic, claimed
from tests.server.pages.drawing import Served
from tests.waiting import until

NewPage = Callable[..., Page]


def opened(new_page: NewPage, served: Served, path: str) -> Page:
    page = new_page(served)
    page.goto(path)
    page.wait_for_selector(".column h1")
    return page


def test_a_set_displays_what_accepting_brought_doubtful_masks_first(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served, "/sets")
    expect(page.locator(".set-card")).to_contain_text("Discs")
    page.get_by_role("link", name="Discs").click()
    expect(page.get_by_role("img", name="Strokes an image: median 4.5")).to_be_visible()
    expect(page.get_by_role("img", name="Seconds an image: median 25.5")).to_be_visible()
    rows = page.locator(".set-images tbody tr")
    assert rows.evaluate_all("rows => rows.slice(0, 2).map(row => row.dataset.key)") == [found.clear, found.film]
    expect(rows.first).to_contain_text("0.70")
    expect(page.locator(".set-top")).to_contain_text("2 of 5")
    expect(page.get_by_role("link", name="Annotate next")).to_have_attribute("href", f"/annotate/{found.fresh[1]}?set={found.set}")


def test_images_of_a_set_are_skipped_excluded_and_put_back(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    page = opened(new_page, served, f"/sets/{found.set}")
    row = page.locator(f"tr[data-key='{found.fresh[1]}']")
    row.get_by_role("button", name="Skip").click()
    expect(row).to_have_attribute("data-state", "skipped")
    row.get_by_role("button", name="Put back").click()
    expect(row).to_have_attribute("data-state", "waiting")
    row.get_by_role("button", name="Exclude").click()
    expect(row).to_have_attribute("data-state", "excluded")
    page.get_by_label("Which image comes next").select_option("random")
    expect(page.get_by_role("status")).to_contain_text("order of the images is changed")
    page.reload()
    expect(page.get_by_label("Which image comes next")).to_have_value("random")
    expect(page.locator(f"tr[data-key='{found.fresh[1]}']")).to_have_attribute("data-state", "excluded")


def test_a_failed_job_says_why_and_is_run_again(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    page = opened(new_page, served, "/jobs")
    head = page.locator(".page-head")
    expect(head).to_contain_text("1 failure")
    job = page.locator(f"[data-job='{found.dead}']")
    expect(job).to_contain_text("The disk is full; make room and run it again.")
    expect(job).to_contain_text(f"Export {MARKUP}")
    job.get_by_role("button", name="Run again").click()
    expect(page.get_by_role("region", name="Waiting").locator(f"[data-job='{found.dead}']")).to_be_visible()
    store = Store.open(served.folder)
    jobs = Jobs(store)
    for name in ("node1:7:a", "node1:8:b", "node2:7:c"):
        jobs.hear_from(name)
    taken = claimed(jobs, "export")
    jobs.heartbeat(taken, 2, 4, "Packing")
    running = page.get_by_role("region", name="Running").locator(f"[data-job='{taken.id}']")
    expect(running).to_contain_text("2 of 4")
    expect(running).to_contain_text("Packing")
    page.reload()
    expect(head).to_contain_text(re.compile(r"\d workers: .*node1 \(2\), node2$"))
    running.get_by_role("button", name="Stop").click()
    until(lambda: jobs.heartbeat(taken, 3, 4) == "stop")
    jobs.stopped(taken)
    expect(page.get_by_role("region", name="Ended").locator(f"[data-job='{taken.id}']")).to_contain_text("Stopped")
    store.close()


def test_models_say_what_their_licences_allow(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    page = opened(new_page, clinic[0], "/models")
    row = page.locator("tr[data-model]").filter(has=page.get_by_role("button", name="casewise-brain-lesions", exact=True))
    expect(row).to_contain_text("Research only")
    expect(page.get_by_role("img", name="Lineage")).to_be_visible()
    page.get_by_role("button", name="casewise-interactive-3d", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Dice after 1 stroke")


def test_a_token_is_displayed_once_and_signs_a_program_in(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, _ = changed_clinic
    page = opened(new_page, served, "/admin")
    page.get_by_role("button", name="New token").click()
    page.get_by_label("What it is for").fill("a script")
    page.get_by_role("button", name="Make the token").click()
    value = page.get_by_label("Token", exact=True).input_value()
    asked = page.request.get("/api/v1/me", headers={"Authorization": f"Bearer {value}", "Cookie": ""})
    assert asked.json()["role"] == "annotator"
    page.keyboard.press("Escape")
    page.reload()
    line = page.get_by_role("row").filter(has_text="a script")
    expect(line).to_be_visible()
    assert value not in page.content()
    line.get_by_role("button", name="End").click()
    expect(line).to_have_count(0)


def test_the_audit_log_is_filtered_checked_and_exported(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    page = opened(new_page, changed_clinic[0], "/admin")
    page.get_by_role("searchbox", name="Action").fill("sign in")
    expect(page.locator(".audit tbody tr").first).to_contain_text("sign in by link")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("status")).to_contain_text("none changed or missing")
    with page.expect_download() as coming:
        page.get_by_role("link", name="Export").click()
    assert "sign in by link" in coming.value.path().read_text(encoding="utf-8")


def test_help_gives_this_servers_own_address(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, _ = clinic
    page = opened(new_page, served, "/help")
    addresses = page.locator("code.address").all_text_contents()
    assert served.url in addresses and f"{served.url}/nninteractive" in addresses
