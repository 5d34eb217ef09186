"""Clients of an application under test, signed in as it is done in earnest: by a token or a cookie."""

from __future__ import annotations

import time

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from casewise.server import store as tables
from casewise.server.access import LOCAL
from casewise.server.logins import sign_in
from casewise.server.services import Services
from casewise.server.tokens import issue_token
from casewise.server.users import find

HERE = "http://127.0.0.1:8080"
OURS = {"X-Casewise": "1", "Origin": HERE}  # what our page sends with each call


def nobody(app: FastAPI, *, address: str = "127.0.0.1", url: str = HERE) -> TestClient:
    """A client that has not signed in. A 500 is an answer, as it is for real clients."""
    return TestClient(app, base_url=url, client=(address, 50000), follow_redirects=False, raise_server_exceptions=False)


def signed_in(app: FastAPI, role: str = "admin", user: str = LOCAL) -> TestClient:
    """A program with a token of ``user``, who is added if unknown; by default of the one person of a server that has no users."""
    if user != LOCAL:
        add_user(app, user, role)
    client = nobody(app)
    value, _token = issue_token(_services(app).store, user, role, 1.0)
    client.headers["Authorization"] = f"Bearer {value}"
    return client


def add_user(app: FastAPI, name: str, role: str) -> None:
    """A user who has no password; nothing happens where there is one of that name."""
    store = _services(app).store
    if find(store, name) is None:
        with store.write() as connection:
            row = {"name": name, "role": role, "source": "own", "disabled": False, "created": time.time()}
            connection.execute(sa.insert(tables.users).values(**row))


def in_browser(app: FastAPI, role: str = "admin", user: str = LOCAL) -> TestClient:
    """Our own page in a browser where ``user`` is signed in."""
    if user != LOCAL:
        add_user(app, user, role)
    client, shared = nobody(app), _services(app)
    client.cookies.set("casewise-8080", sign_in(shared.store, user, role, shared.settings))
    client.headers.update(OURS)
    return client


def _services(app: FastAPI) -> Services:
    found: Services = app.state.services
    return found
