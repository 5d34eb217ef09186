"""People who sign in by the page with their password: each role is offered what it may do, and what it does works."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from casewise.server.store import Store
from casewise.server.users import save
from tests.server.pages.clinic import Clinic, furnish
from tests.server.pages.drawing import Served
from tests.server.pages.test_accessible import faults

PASSWORD = "correct horse battery"
NAMES = {"ada": "admin", "anna": "annotator", "rita": "reader"}


@pytest.fixture(scope="module")
def hospital(serve: Callable[..., Served], tmp_path_factory: pytest.TempPathFactory) -> tuple[Served, Clinic]:
    """A server with a person of each role."""
    folder = tmp_path_factory.mktemp("hospital")
    found = furnish(folder / "archive", folder / "files")
    served = serve(folder / "archive")
    store = Store.open(served.folder)
    for name, role in NAMES.items():
        save(store, name, role, password=PASSWORD)
    store.close()
    return served, found


@pytest.fixture
def signed_in(chromium: Browser, hospital: tuple[Served, Clinic]) -> Iterator[Callable[[str, str], Page]]:
    contexts = []

    def opened(name: str, path: str) -> Page:
        context = chromium.new_context(base_url=hospital[0].url, viewport={"width": 1280, "height": 720}, bypass_csp=True)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(path)
        page.wait_for_url(lambda url: "/login?next=" in url)
        assert faults(page) == []
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: url.endswith(path))  # where the person wanted to go
        page.wait_for_selector("main > *")
        return page

    yield opened
    for context in contexts:
        context.close()


def test_a_reader_sees_everything_and_is_offered_nothing_that_would_be_refused(
    signed_in: Callable[[str, str], Page], hospital: tuple[Served, Clinic]
) -> None:
    _, found = hospital
    page = signed_in("rita", f"/cases/{found.film}")
    expect(page.get_by_role("heading", name="Nodule, right lung, 0.81")).to_be_visible()
    expect(page.locator(".finding").first).to_contain_text("anna disagrees: a rib")
    for words in ("Agree: Nodule", "Analyse again", "Annotate", "Done"):
        expect(page.get_by_role("button", name=words, exact=True)).to_have_count(0)
    assert page.locator("nav.links a").all_text_contents() == ["Worklist", "Sets", "Jobs", "Models"]
    page.goto("/")
    page.wait_for_selector("tr[data-key]")
    expect(page.get_by_role("button", name="Upload")).to_have_count(0)
    page.goto(f"/sets/{found.set}")
    expect(page.get_by_role("heading", name="Discs")).to_be_visible()
    expect(page.get_by_role("button", name="Export")).to_have_count(0)
    expect(page.locator(".set-images button")).to_have_count(0)
    page.goto("/admin")
    expect(page.get_by_text("This page needs the role admin.")).to_be_visible()


def test_an_annotator_uploads_and_assigns_but_does_not_train(
    signed_in: Callable[[str, str], Page], hospital: tuple[Served, Clinic]
) -> None:
    page = signed_in("anna", "/")
    expect(page.get_by_role("button", name="Upload")).to_be_visible()
    page.wait_for_selector("tr[data-key]")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_role("button", name="Assign").click()
    page.get_by_role("dialog").get_by_role("combobox").select_option("other")
    page.get_by_role("dialog").get_by_label("Name").fill("nobody here")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("no person called 'nobody here'")
    page.get_by_role("dialog").get_by_label("Name").fill("rita")
    page.keyboard.press("Enter")
    expect(page.locator("td.assigned").first).to_have_text("rita")
    page.goto("/models")
    page.wait_for_selector("tr[data-model]")
    expect(page.get_by_role("button", name="Train")).to_have_count(0)


def test_an_admin_adds_a_person_who_signs_in(signed_in: Callable[[str, str], Page], hospital: tuple[Served, Clinic]) -> None:
    page = signed_in("ada", "/admin")
    page.get_by_role("button", name="Add a person").click()
    page.get_by_label("Name").fill("otto")
    page.get_by_label("Role").select_option("reader")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    row = page.get_by_role("row").filter(has_text="otto")
    expect(row).to_contain_text("Reader")
    signed_in("otto", "/jobs")
    row.get_by_role("button", name="Close the account of otto").click()
    expect(row).to_contain_text("Closed")
