"""``casewise users`` and ``casewise audit``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import pytest

from casewise.archive import Archive
from casewise.server.store import Store
from casewise.server.users import check_password
from tests.cli.conftest import Call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Archive.open(tmp_path / "archive", create=True).close()
    return tmp_path / "archive"


def test_people_are_added_changed_and_listed(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No users" in call("users", folder).out
    for name, role in (("anna", "admin"), ("ben", "annotator")):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"the password of {name}\n"))
        assert call("users", folder, "add", name, "--role", role).out == f"{name}: {role}\n"
    assert call("users", folder, "disable", "ben").out == "ben: annotator (disabled)\n"
    assert call("users", folder, "role", "ben", "--role", "reader").out == "ben: reader (disabled)\n"
    assert call("users", folder, "enable", "ben").out == "ben: reader\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("another password\n"))
    call("users", folder, "password", "ben")
    store = Store.open(folder)
    assert check_password(store, "ben", "another password") is not None
    assert check_password(store, "ben", "the password of ben") is None
    store.close()
    listed = cast("dict[str, Any]", call("users", folder, "--json").document)["users"]
    assert [(user["name"], user["role"]) for user in listed] == [("anna", "admin"), ("ben", "reader")]
    assert call("audit", folder).out == "6 rows, all as they were written.\n"


def test_what_cannot_be_is_one_sentence(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "12 to 200" in call("users", folder, "add", "anna", "--role", "admin").sentence
    assert "no user anna" in call("users", folder, "disable", "anna").sentence
    assert "Say whom" in call("users", folder, "add").sentence
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    assert "first user must be an admin" in call("users", folder, "add", "anna").sentence
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    assert call("users", folder, "add", "anna", "--role", "admin").code == 0
    assert "already" in call("users", folder, "add", "anna").sentence
    assert "last admin" in call("users", folder, "disable", "anna").sentence
    assert "has users" in call("users", folder, "link").sentence


def test_another_link_can_be_had(call: Call, folder: Path) -> None:
    assert "http://127.0.0.1:9000/login/once/" in call("users", folder, "link", "--url", "http://127.0.0.1:9000").out


def test_a_changed_log_is_named(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    call("users", folder, "add", "anna", "--role", "admin")
    store = Store.open(folder)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE server_audit SET object = 'somebody else'")
    store.close()
    done = call("audit", folder)
    assert done.code == 1 and "row 1" in done.out
