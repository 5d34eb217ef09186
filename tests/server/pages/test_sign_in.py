"""People sign in and out in a real browser, and another page of the same machine cannot act for them."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from casewise.server.store import Store
from casewise.server.users import save
from tests.server.pages.drawing import Served
from tests.waiting import SECONDS

PASSWORD = "correct horse battery"
FORM = """<!doctype html><form method="post" action="{url}{path}"><button>go</button></form>
<script>
fetch("{url}/api/v1/tokens", {{method: "POST", credentials: "include", mode: "no-cors", body: "{{}}"}})
  .finally(() => document.title = "asked");
</script>"""


@pytest.fixture
def served(serve: Callable[..., Served], tmp_path: Path) -> Served:
    return serve(tmp_path / "archive")


@pytest.fixture
def other_page(served: Served) -> Iterator[str]:
    """A page at another port of this machine: to a browser the same site, so that our cookie goes with what it asks."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(FORM.format(url=served.url, path="/api/v1/logout").encode())

        def log_message(self, *words: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_the_first_user_is_made_on_the_page_and_signs_in(served: Served, new_page: Callable[..., Page]) -> None:
    page = new_page(served, quiet=False)
    page.goto("/admin")
    page.get_by_role("button", name="Add a person").click()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Role").select_option("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url("**/login?next=*")  # the one-time link's person is nobody any more
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password", exact=True).fill("a wrong password")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    expect(page.get_by_label("Name")).to_have_value("anna")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("nav.links a")
    page.goto("/admin")
    expect(page.get_by_role("rowheader", name="anna")).to_be_visible()
    assert page.context.cookies()[0]["httpOnly"] and page.evaluate("document.cookie") == ""


def test_another_page_of_this_machine_cannot_act(served: Served, new_page: Callable[..., Page], other_page: str) -> None:
    page = new_page(served, quiet=False)
    page.goto("/")
    foreign = page.context.new_page()
    foreign.goto(other_page)
    with foreign.expect_navigation():
        foreign.get_by_role("button").click()
    assert "another origin" in foreign.content()
    page.reload()
    page.wait_for_selector("nav.links a")  # still signed in
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    assert httpx.get(f"{served.url}/api/v1/tokens", cookies=cookies, timeout=SECONDS).json() == []


def test_a_person_changes_their_password_in_the_browser(
    serve: Callable[..., Served], new_page: Callable[..., Page], tmp_path: Path
) -> None:
    served = serve(tmp_path / "archive")
    store = Store.open(served.folder)
    save(store, "anna", "admin", password=PASSWORD)
    store.close()
    page = new_page(served, quiet=False)
    page.goto("/login")
    page.get_by_role("link", name="Change your password").click()
    for label, value in (("Name", "anna"), ("Password until now", PASSWORD)):
        page.get_by_label(label).fill(value)
    page.get_by_label("New password, 12").fill("another battery")
    page.get_by_label("New password again").fill("another battery")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    page.get_by_label("Password", exact=True).fill("another battery")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("nav.links a")
