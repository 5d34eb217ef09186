"""Who is signed in: cookies, and the one-time link for the person at a server that has no users."""

from __future__ import annotations

import time

import sqlalchemy as sa

from casewise.server import store as tables
from casewise.server.access import LOCAL, Person
from casewise.server.secrets import hash_of, new_secret
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.users import any_users

LINK_SECONDS = 600
_SEEN_EVERY = 60  # seconds between two notes of a login's use


def sign_in(store: Store, user: str, role: str, settings: Settings) -> str:
    """A new login; returns the cookie's value."""
    now, cookie = time.time(), new_secret()
    logins = tables.logins
    with store.write() as connection:
        idle = now - settings.idle_minutes * 60 - _SEEN_EVERY
        connection.execute(sa.delete(logins).where((logins.c.expires < now) | (logins.c.seen < idle)))
        until = now + settings.login_hours * 3600
        connection.execute(sa.insert(logins).values(hash=hash_of(cookie), user=user, role=role, seen=now, expires=until))
    return cookie


def sign_out(store: Store, cookie: str) -> None:
    with store.write() as connection:
        connection.execute(sa.delete(tables.logins).where(tables.logins.c.hash == hash_of(cookie)))


def person_of_cookie(store: Store, cookie: str, settings: Settings) -> Person | None:
    """Who is signed in by ``cookie``, with the role that they have now; None where nobody is (any more)."""
    now, key = time.time(), hash_of(cookie)
    logins, users = tables.logins, tables.users
    with store.read() as connection:
        wanted = (
            sa.select(logins.c.user, logins.c.role, logins.c.seen, logins.c.expires, users.c.role.label("now"), users.c.disabled)
            .outerjoin(users, users.c.name == logins.c.user)
            .where(logins.c.hash == key)
        )
        row = connection.execute(wanted).first()
    if row is None or row.expires <= now or row.seen + settings.idle_minutes * 60 <= now:
        return None
    if row.user == LOCAL:
        if any_users(store):  # the link was for a server without users
            return None
        role = row.role
    elif row.now is None or row.disabled:
        return None
    else:
        role = row.now
    if now - row.seen > _SEEN_EVERY:
        with store.write() as connection:
            connection.execute(sa.update(logins).where(logins.c.hash == key).values(seen=now))
    return Person(row.user, role, "cookie")


def one_time_link(store: Store, base_url: str) -> str:
    """A link that signs in whoever opens it first, as the server's one person and admin, while it has no users; for 10 minutes.

    base_url : as people reach the server, for example ``http://127.0.0.1:8080``.
    """
    secret, now = new_secret(), time.time()
    with store.write() as connection:
        connection.execute(sa.delete(tables.links).where(tables.links.c.expires < now))
        connection.execute(sa.insert(tables.links).values(hash=hash_of(secret), expires=now + LINK_SECONDS))
    return f"{base_url.rstrip('/')}/login/once/{secret}"


def follow_link(store: Store, secret: str, settings: Settings) -> str | None:
    """The cookie's value for whoever opened the link; None for an unknown, used or old link, and once there are users."""
    links = tables.links
    with store.write() as connection:
        gone = connection.execute(sa.delete(links).where(links.c.hash == hash_of(secret), links.c.expires > time.time()))
    if gone.rowcount != 1 or any_users(store):
        return None
    return sign_in(store, LOCAL, "admin", settings)
