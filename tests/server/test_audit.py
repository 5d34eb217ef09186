"""The audit log holds who did what, and notices when it is tampered with."""

from __future__ import annotations

import csv
import io
import threading
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from casewise.archive import Archive
from casewise.formats import write
from casewise.image import Image
from casewise.server import audit
from casewise.server import store as tables
from casewise.server.app import create_app
from casewise.server.audited import action_of
from casewise.server.store import Store
from tests.server.people import HERE, add_user, in_browser, nobody, signed_in

DAY = 24 * 3600


def filled(store: Store, days: int = 3) -> None:
    """Two rows on each of some days, as they would have been written then."""
    moments = [1_700_000_000 + day * DAY + hour * 3600 for day in range(days) for hour in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        for number, moment in enumerate(moments):
            patch.setattr(audit.time, "time", lambda moment=moment: moment)
            audit.record(store, "anna", "10.0.0.1", "see cases", f"key-{number}")


def tamper(store: Store, statement: sa.Executable) -> None:
    with store.write() as connection:
        connection.execute(statement)


def test_rows_are_kept_in_order_and_verified(store: Store) -> None:
    filled(store)
    assert audit.verify(store) == (6, None)
    assert [entry.object for entry in audit.entries(store, limit=2)] == ["key-5", "key-4"]
    assert [entry.object for entry in audit.every_entry(store)] == [f"key-{number}" for number in range(6)]
    noted = (store.folder / audit.DAYS_FILE).read_text().splitlines()
    assert [line.split()[0] for line in noted] == ["2023-11-14", "2023-11-15"]


def test_an_empty_log_is_whole(store: Store) -> None:
    assert audit.verify(store) == (0, None)


@pytest.mark.parametrize("change", ["object", "time", "outcome"])
def test_a_changed_row_is_named(store: Store, change: str) -> None:
    filled(store)
    third = audit.entries(store, limit=10)[3].id
    values: dict[str, object] = {"object": "other", "time": 1.0, "outcome": "refused"}
    tamper(store, sa.update(tables.audit).where(tables.audit.c.id == third).values({change: values[change]}))
    count, problem = audit.verify(store)
    assert count == 2 and problem is not None and f"row {third}" in problem


def test_a_row_taken_out_and_a_tail_cut_off_are_noticed(store: Store) -> None:
    filled(store)
    newest = audit.entries(store, limit=1)[0].id
    tamper(store, sa.delete(tables.audit).where(tables.audit.c.id == newest))
    assert "missing at the end" in (audit.verify(store)[1] or "")
    tamper(store, sa.delete(tables.audit).where(tables.audit.c.id == newest - 3))
    assert f"row {newest - 2}" in (audit.verify(store)[1] or "")


def test_a_log_written_anew_differs_from_the_file_of_days(store: Store) -> None:
    filled(store)
    kept = (store.folder / audit.DAYS_FILE).read_text()
    tamper(store, sa.delete(tables.audit))
    tamper(store, sa.update(tables.meta).where(tables.meta.c.name == "audit_head").values(value=""))
    assert "missing" in (audit.verify(store)[1] or "")
    filled(store, days=4)
    (store.folder / audit.DAYS_FILE).write_text(kept.replace(kept.split()[2], "0" * 64))
    assert audit.verify(store)[1] is not None


def test_writers_at_once_make_one_chain(store: Store) -> None:
    def write() -> None:
        for _ in range(10):
            audit.record(store, "anna", "", "see cases")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.verify(store) == (40, None)


def test_calls_are_named_after_their_routes() -> None:
    assert action_of("PUT", "/api/v1/users/{name}") == "put users"
    assert action_of("POST", "/api/v1/sessions/{id}/accept") == "order sessions/accept"
    assert action_of("POST", "/api/v1/sessions/{id}/strokes") is None
    assert action_of("GET", "/api/v1/cases/{key}") == "see cases"
    assert action_of("GET", "/api/v1/cases/{key}/voxels") == "see cases"
    assert action_of("GET", "/api/v1/cases/{key}/thumbnail") is None
    assert action_of("GET", "/api/v1/cases/{key}/nifti") == "export cases/nifti"
    assert action_of("GET", "/api/v1/cases") is None
    assert action_of("PUT", "/datastore/label") == "put datastore/label"
    assert action_of("DELETE", "/api/v1/new/{thing}") == "delete new"  # a new call is noted without being listed


def test_what_people_do_is_noted_with_its_outcome(app: FastAPI) -> None:
    admin = signed_in(app, "admin", "anna")
    assert admin.put("/api/v1/users/ben", json={"role": "reader", "password": "x" * 12}).status_code == 200
    assert signed_in(app, "reader", "rita").put("/api/v1/users/carl", json={"role": "reader"}).status_code == 403
    assert signed_in(app, "reader", "rita").get("/api/v1/audit/export").status_code == 403
    assert nobody(app).post("/api/v1/login", json={"name": "my secret", "password": "x" * 12}).status_code == 401
    assert nobody(app).post("/login", data={"name": "ben", "password": "x" * 12}, headers={"Origin": HERE}).status_code == 303
    lines = admin.get("/api/v1/audit").json()
    assert [(line["user"], line["action"], line["object"], line["outcome"]) for line in lines] == [
        ("ben", "sign in", "", "done"),
        ("", "sign in", "", "refused 401"),
        ("rita", "export audit/export", "", "refused 403"),
        ("rita", "put users", "carl", "refused 403"),
        ("anna", "put users", "ben", "done"),
    ]
    assert all(line["address"] == "127.0.0.1" for line in lines)
    assert admin.get("/api/v1/audit/check").json() == {"rows": 5, "problem": None}
    assert "my secret" not in repr(lines)


def test_reading_the_log_in_pages_and_by_what_is_looked_for(app: FastAPI) -> None:
    store: Store = app.state.services.store
    filled(store)
    audit.record(store, "ben", "", "sign in")
    admin = signed_in(app)
    first = admin.get("/api/v1/audit", params={"limit": 4}).json()
    second = admin.get("/api/v1/audit", params={"limit": 4, "after": first[-1]["id"]}).json()
    assert [line["id"] for line in first + second] == [7, 6, 5, 4, 3, 2, 1]
    assert [line["user"] for line in admin.get("/api/v1/audit", params={"user": "BE"}).json()] == ["ben"]
    assert len(admin.get("/api/v1/audit", params={"object": "key-2"}).json()) == 1
    assert admin.get("/api/v1/audit", params={"object": "%"}).json() == []
    for role in ("reader", "annotator"):
        for path in ("/api/v1/audit", "/api/v1/audit/export", "/api/v1/audit/check"):
            assert signed_in(app, role).get(path).status_code == 403


def test_the_exported_table_holds_no_formula(app: FastAPI) -> None:
    audit.record(app.state.services.store, "anna", "", "see cases", '=HYPERLINK("http://evil.example")')
    answer = signed_in(app).get("/api/v1/audit/export")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert rows[0]["object"].startswith("'=HYPERLINK")


def test_tokens_are_listed_made_and_revoked(app: FastAPI) -> None:
    for name, role in (("anna", "admin"), ("ben", "annotator"), ("rita", "reader")):
        add_user(app, name, role)
    ben, rita, anna = in_browser(app, user="ben"), in_browser(app, user="rita"), in_browser(app, user="anna")
    made = ben.post("/api/v1/tokens", json={"role": "reader", "hours": 1, "note": "<b>"}).json()
    assert nobody(app).get("/api/v1/me", headers={"Authorization": f"Bearer {made['token']}"}).json()["role"] == "reader"
    assert ben.post("/api/v1/tokens", json={"role": "admin"}).status_code == 400
    assert rita.get("/api/v1/tokens").json() == []
    listed = anna.get("/api/v1/tokens").json()
    assert [(line["id"], line["user"], line["note"]) for line in listed] == [(made["id"], "ben", "<b>")]
    assert "token" not in listed[0]
    assert rita.delete(f"/api/v1/tokens/{made['id']}").status_code == 404
    assert ben.delete(f"/api/v1/tokens/{made['id']}").status_code == 204
    assert nobody(app).get("/api/v1/me", headers={"Authorization": f"Bearer {made['token']}"}).status_code == 401


def test_the_state_says_how_the_server_is(app: FastAPI) -> None:
    state = signed_in(app).get("/api/v1/server").json()
    assert state["memory"] > 0 and 0 < state["disk_free"] < state["disk_total"]
    assert signed_in(app, "annotator").get("/api/v1/server").status_code == 403


def test_users_are_kept_by_admins_alone(app: FastAPI) -> None:
    admin = in_browser(app)
    refused = admin.put("/api/v1/users/ben", json={"role": "reader", "password": "x" * 12})
    assert refused.status_code == 400 and "first user must be an admin" in refused.json()["detail"]
    assert admin.put("/api/v1/users/anna", json={"role": "admin", "password": "x" * 12}).status_code == 200
    assert admin.get("/api/v1/users").status_code == 401  # the one-time link's login ends with the first user
    anna = in_browser(app, user="anna")
    assert [user["name"] for user in anna.get("/api/v1/users").json()] == ["anna"]
    short = anna.put("/api/v1/users/ben", json={"role": "reader", "password": "geheim"})
    assert short.status_code == 422 and "geheim" not in short.text


def test_cases_that_people_see_and_export_are_noted_by_their_keys(tmp_path: Path) -> None:
    with Archive.open(tmp_path / "archive", create=True) as archive:
        write(tmp_path / "Jane Doe.png", Image(np.zeros((1, 8, 8), np.uint8)))
        key = archive.add(tmp_path / "Jane Doe.png", {"spot": np.eye(8, dtype=bool)}, name=str(tmp_path / "Jane Doe.png"))
        store = Store.open(archive.folder)
        client = signed_in(create_app(archive, store), "annotator")
        for path in ("", "/voxels", "", "/thumbnail", "/masks/spot", "/masks/spot.nii.gz"):
            assert client.get(f"/api/v1/cases/{key}{path}").status_code == 200, path
        assert client.get("/datastore/image", params={"image": key}).status_code == 200
        assert client.get("/api/v1/cases", params={"text": "Jane"}).status_code == 200
        order = {"case": key, "structure": "spot", "begin": "empty"}
        assert client.post("/api/v1/sessions", json=order).status_code == 201
        sent = {"files": ("Jane Doe.png", (tmp_path / "Jane Doe.png").read_bytes())}
        assert client.post("/api/v1/cases", files=sent).status_code == 200
        assert [(entry.action, entry.object) for entry in audit.every_entry(store)] == [
            ("see cases", key),
            ("see cases", f"{key}/spot"),
            ("export cases/masks.nii.gz", f"{key}/spot"),
            ("export datastore/image", key),
            ("order sessions", f"{key} spot"),
            ("order cases", key),
        ]
        store.close()
