"""The case page in a real browser: the order of reading, places in the image, opinions, masks, comparison, and the way on."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image as Picture
from playwright.sync_api import Page, Route, expect

from casewise.archive import Archive
from casewise.formats import read
from casewise.server.jobs import Jobs
from casewise.server.store import Store
from tests.server.pages.clinic import MARKUP, Clinic, ball, claimed
from tests.server.pages.drawing import LARGE, Served, settle
from tests.waiting import until

NewPage = Callable[..., Page]


def opened(new_page: NewPage, served: Served, key: str, **size: int) -> Page:
    page = new_page(served, **size)
    page.goto(f"/cases/{key}")
    page.wait_for_selector(f".viewer[data-ready='{key}']")
    page.wait_for_selector(".similar button, .similar .wide")
    settle(page)
    return page


def amber(page: Page) -> npt.NDArray[np.bool_]:
    """(rows, columns) bool: where the lines above the large plane are amber or pale, in device pixels."""
    url = page.locator(f"{LARGE} canvas.surface").evaluate("canvas => canvas.toDataURL('image/png')")
    red, green, blue, alpha = np.moveaxis(np.asarray(Picture.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))), -1, 0)
    found: npt.NDArray[np.bool_] = (red > 200) & (green > 140) & (blue < 200) & (alpha > 200)
    return found


def test_all_is_there_in_the_order_of_reading(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served, found.film)
    headings = page.locator(".panel :is(h1, h2)").all_text_contents()
    assert headings == [
        "Nodule, right lung, 0.81; 1 more finding",
        "Findings",
        "Looked for and not found",
        "Not looked for",
        "Measures",
        "Which model answered",
        "Similar cases",
        "Masks",
        "Times, notes and facts",
    ]
    panel = page.locator(".panel")
    for words in (
        "Chest X-ray (1.00) · site north",
        "1 Nodule",
        "0.81",
        "Right lung · 21 mm",
        "Tuberculosis",
        "0.06",
        "Fracture: no application here reads this.",
        "nodule-detector",
        "refined on 8 similar cases",
        "0.71 → 0.76",
        "The film has no spacing.",
    ):
        expect(panel).to_contain_text(words)
    expect(panel).to_contain_text(f"2 {MARKUP}")  # markup in a label is text
    assert page.title() == "film.png – casewise"
    assert page.locator(".panel img:not(.thumb)").count() == 0


def test_findings_are_in_their_place(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served, found.film)
    lines = amber(page)
    height, width = lines.shape
    side = min(height, width) * 0.96  # the film fits into the pane with a margin
    left, top = (width - side) / 2, (height - side) / 2
    rows, columns = np.nonzero(lines)
    frame = rows > top + side * 59 / 200  # the tag stands above the box
    # The box is rows 60 to 100 and columns 100 to 140 of 200; the film is displayed as it is.
    assert (rows[frame].max() - top) / side == pytest.approx(100 / 200, abs=0.01)
    assert (columns[frame].min() - left) / side == pytest.approx(100 / 200, abs=0.01)
    assert (columns[frame].max() - left) / side == pytest.approx(140 / 200, abs=0.01)


def test_a_click_on_a_mark_opens_its_segment_in_the_report(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = new_page(served)
    address = f"/api/v1/results/{found.film}/report#finding-0"

    def with_segment(route: Route) -> None:
        answer = route.fetch()
        document = answer.json()
        document["findings"][0]["segment"] = address
        route.fulfill(response=answer, json=document)

    page.route(f"**/api/v1/results/{found.film}", with_segment)
    page.goto(f"/cases/{found.film}")
    page.wait_for_selector(f".viewer[data-ready='{found.film}']")
    link = page.get_by_role("link", name="Segment of Nodule, at 1:1")
    expect(link).to_have_attribute("href", address)
    expect(page.get_by_role("link", name="Segment of")).to_have_count(1)
    place = page.locator(LARGE).bounding_box()
    assert place is not None
    side = min(place["width"], place["height"]) * 0.96  # the film fits into the pane with a margin
    left, top = place["x"] + (place["width"] - side) / 2, place["y"] + (place["height"] - side) / 2
    page.mouse.click(left + side * 20 / 200, top + side * 20 / 200)  # no mark
    with page.context.expect_page() as opened_page:
        page.mouse.click(left + side * 120 / 200, top + side * 80 / 200)
    assert opened_page.value.url.endswith(address) and len(page.context.pages) == 2


def test_outlines_of_measures_are_off_until_asked_for(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served, found.film)
    before = amber(page).sum()
    with page.expect_response(lambda answer: "/masks/" in answer.url):
        page.keyboard.press("l")
    expect(page.get_by_role("button", name="Outlines on")).to_be_visible()
    until(lambda: amber(page).sum() > before + 100)
    page.keyboard.press("l")
    until(lambda: amber(page).sum() == before)
    page.get_by_role("button", name="Left lung").click()
    until(lambda: amber(page).sum() > before + 100)


def test_opinions_are_kept_and_others_are_displayed(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    page = opened(new_page, served, found.film)
    card = page.locator(".finding").first
    expect(card).to_contain_text("anna disagrees: a rib")
    card.get_by_role("button", name="Agree: Nodule", exact=True).click()
    expect(card).to_contain_text("You agree")
    card.get_by_role("button", name="Disagree: Nodule").click()
    page.keyboard.type(f"a vessel {MARKUP}")
    page.keyboard.press("Enter")
    expect(card).to_contain_text(f"You disagree: a vessel {MARKUP}")
    page.reload()
    expect(page.locator(".finding").first).to_contain_text("You disagree: a vessel")
    expect(page.locator(".finding").first.get_by_role("button", name="Disagree: Nodule")).to_have_attribute("aria-pressed", "true")


def test_masks_of_several_people_are_displayed_compared_and_chosen_from(
    new_page: NewPage, changed_clinic: tuple[Served, Clinic]
) -> None:
    served, found = changed_clinic
    page = opened(new_page, served, found.volume)
    one, other = ball(0), ball(1)
    dice = 2 * (one & other).sum() / (one.sum() + other.sum())
    expect(page.locator(".panel")).to_contain_text(f"Dice {dice:.2f}")
    before = amber(page).sum()
    page.get_by_role("checkbox", name="Ball").first.check()
    until(lambda: amber(page).sum() > before + 50)
    page.get_by_role("button", name="Let the mask of anna count").click()
    expect(page.locator(".panel")).to_contain_text("The mask of anna counts, chosen by local")
    with Archive.open(served.folder) as archive:
        np.testing.assert_array_equal(archive.case(found.volume).load_masks["ball"](), other)


def test_masks_are_downloaded_on_the_images_own_grid(new_page: NewPage, clinic: tuple[Served, Clinic], tmp_path: Path) -> None:
    served, found = clinic
    page = opened(new_page, served, found.volume)
    with page.expect_download() as coming:
        page.get_by_role("link", name="Download the mask of ball as NIfTI").click()
    coming.value.save_as(tmp_path / "ball.nii.gz")
    with Archive.open(served.folder) as archive:
        image = archive.case(found.volume).image
    mask = read(tmp_path / "ball.nii.gz")
    np.testing.assert_array_equal(mask.array[0] > 0, ball(0))
    np.testing.assert_allclose(mask.affine, image.affine, atol=1e-5)


def test_a_similar_case_is_compared_side_by_side_with_one_zoom(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    served, found = clinic
    page = opened(new_page, served, found.film)
    page.get_by_role("button", name="Compare with clear.png").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".viewer[data-ready]")).to_have_count(2)
    scale = dialog.locator(".caption")
    zoom = lambda: [words.split(" · ")[1] for words in scale.all_text_contents()]  # noqa: E731
    before = zoom()
    assert before[0] == before[1]
    box = dialog.locator(".viewer").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def zoomed() -> bool:
        page.mouse.wheel(0, -400)
        now = zoom()
        return now[0] != before[0] and now[0] == now[1]

    until(zoomed)
    dialog.get_by_role("link", name="Open that case").click()
    page.wait_for_url(f"**/cases/{found.clear}")


def test_an_analysis_takes_the_old_ones_place(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    key = found.fresh[0]
    page = opened(new_page, served, key)
    expect(page.get_by_role("heading", name="Not analysed yet")).to_be_visible()
    page.locator(".panel").get_by_role("button", name="Analyse").click()
    store = Store.open(served.folder)
    jobs = Jobs(store)
    job = claimed(jobs, "analyse")
    assert job.payload["cases"] == [key]
    jobs.heartbeat(job, 0, 1, "Reading the film")
    expect(page.get_by_role("status")).to_contain_text("Reading the film")
    with Archive.open(served.folder) as archive:
        archive.record_result({"headline": "Nodule, left lung, 0.60", "findings": []}, key)
    jobs.finish(job, {})
    expect(page.get_by_role("heading", name="Nodule, left lung, 0.60")).to_be_visible()
    store.close()


def test_a_case_is_marked_as_done(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    page = opened(new_page, served, found.clear)
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("status")).to_have_text("Marked as done.")
    page.goto("/?state=done")
    expect(page.locator("tr[data-key]")).to_have_attribute("data-key", found.clear)


def test_a_measure_named_as_its_finding_is_named_once(new_page: NewPage, changed_clinic: tuple[Served, Clinic]) -> None:
    served, found = changed_clinic
    finding = {"application": "mr", "label": "non-uniformity", "kind": "measure", "probability": None}
    with Archive.open(served.folder) as archive:
        measured = {**finding, "measures": {"non_uniformity_percent": 31.1}}
        archive.record_result({"headline": "Measured", "findings": [measured]}, found.fresh[2])
    page = opened(new_page, served, found.fresh[2])
    line = page.locator(".panel .card.lines .row").filter(has_text="Non-uniformity")
    expect(line.locator(".number")).to_have_text("31.1 %")


def test_an_unknown_case_says_so(new_page: NewPage, clinic: tuple[Served, Clinic]) -> None:
    page = new_page(clinic[0], quiet=False)
    page.goto("/cases/0123")
    expect(page.get_by_role("status")).to_contain_text("0123")
