"""The people who may sign in: their names, roles and passwords."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from casewise.errors import UsageError
from casewise.server import store as tables
from casewise.server.access import LOCAL, ROLES
from casewise.server.store import Store

SHORTEST, LONGEST = 12, 200  # characters of a password
_CHANGING = 0x75736572  # the number of the lock under which users are changed; any that nobody else uses
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ONE_AT_A_TIME = threading.Semaphore(2)  # each hash takes 64 MiB
_HASHER = PasswordHasher()  # argon2id


@dataclass(frozen=True)
class User:
    """source : own (a password here) or oidc. created : seconds since 1970."""

    name: str
    role: str
    source: str
    disabled: bool
    created: float


def any_users(store: Store) -> bool:
    """Whether people sign in at this server by name."""
    with store.read() as connection:
        return connection.scalar(sa.select(tables.users.c.name).limit(1)) is not None


def find(store: Store, name: str) -> User | None:
    with store.read() as connection:
        row = connection.execute(sa.select(tables.users).where(tables.users.c.name == name)).first()
    return None if row is None else _user(row)


def everyone(store: Store) -> list[User]:
    """All users, by name."""
    with store.read() as connection:
        return [_user(row) for row in connection.execute(sa.select(tables.users).order_by(tables.users.c.name))]


def save(store: Store, name: str, role: str, *, password: str | None = None, disabled: bool = False) -> User:
    """Add a user, or change one. Without ``password`` the former one stays.

    Disabling ends the user's logins and tokens; a new password ends the logins. Raises UsageError for a name, role or password that
    is not allowed, and where no admin would be left.
    """
    check_name(name)
    if role not in ROLES:
        msg = f"The role {role!r} does not exist; allowed are {', '.join(ROLES)}."
        raise UsageError(msg)
    values: dict[str, object] = {"role": role, "disabled": disabled}
    if password is not None:
        values["password"] = hash_password(password)
    users = tables.users
    with _changing(store) as connection:
        former = connection.execute(sa.select(users).where(users.c.name == name)).first()
        if former is None and password is None:
            msg = f"{name} is new; a new user needs a password of {SHORTEST} to {LONGEST} characters."
            raise UsageError(msg)
        if former is not None and former.source != "own" and password is not None:
            msg = f"{name} signs in at the identity provider and has no password here."
            raise UsageError(msg)
        if former is None:
            connection.execute(sa.insert(users).values(name=name, source="own", created=time.time(), **values))
        else:
            connection.execute(sa.update(users).where(users.c.name == name).values(**values))
        _keep_an_admin(connection)
        if disabled or password is not None:
            connection.execute(sa.delete(tables.logins).where(tables.logins.c.user == name))
        if disabled:
            connection.execute(sa.delete(tables.tokens).where(tables.tokens.c.user == name))
        return _user(connection.execute(sa.select(users).where(users.c.name == name)).one())


def from_provider(store: Store, name: str, subject: str, role: str) -> User:
    """The user whom an identity provider has just signed in; added on the first visit, and given ``role`` on each.

    Raises UsageError where the name belongs to somebody else here, and for a disabled user.
    """
    check_name(name)
    users = tables.users
    with _changing(store) as connection:
        known = connection.execute(sa.select(users).where(users.c.subject == subject)).first()
        taken = connection.execute(sa.select(users).where(users.c.name == name)).first()
        if known is None and taken is not None:
            msg = f"The name {name} belongs to another user here; ask an administrator."
            raise UsageError(msg)
        if known is None and role != "admin" and connection.scalar(sa.select(users.c.name).limit(1)) is None:
            msg = "The first user must be an admin; ask one to sign in first."
            raise UsageError(msg)
        if known is None:
            row = {"name": name, "role": role, "source": "oidc", "subject": subject, "disabled": False, "created": time.time()}
            connection.execute(sa.insert(users).values(**row))
        elif known.disabled:
            msg = f"{known.name} is disabled here; ask an administrator."
            raise UsageError(msg)
        else:
            connection.execute(sa.update(users).where(users.c.subject == subject).values(role=role))
        return _user(connection.execute(sa.select(users).where(users.c.subject == subject)).one())


def check_password(store: Store, name: str, password: str) -> User | None:
    """The user, if this is their password. An unknown name takes as long as a wrong password."""
    with store.read() as connection:
        row = connection.execute(sa.select(tables.users).where(tables.users.c.name == name)).first()
    stored = row.password if row is not None and row.password is not None else _of_nobody()
    try:
        with _ONE_AT_A_TIME:
            _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return None
    if row is None or row.password is None or row.disabled:
        return None
    return _user(row)


def hash_password(password: str) -> str:
    """Raises UsageError for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        msg = f"The password has {len(password)} characters; {SHORTEST} to {LONGEST} are allowed."
        raise UsageError(msg)
    with _ONE_AT_A_TIME:
        return _HASHER.hash(password)


def check_name(name: str) -> None:
    """Raises UsageError for a name that a user cannot have: names stand in masks' labels, addresses and the audit log."""
    if name == LOCAL or not _NAME.fullmatch(name):
        msg = (
            f"{name[:64]!r} cannot be a user's name; allowed are 1 to 64 of a-z, 0-9, '.', '_' and '-', "
            f"beginning with a letter or digit, and not {LOCAL!r}."
        )
        raise UsageError(msg)


@cache
def _of_nobody() -> str:
    """A hash that no password has, so that an unknown name costs what a known one does."""
    return _HASHER.hash("\0nobody")


@contextmanager
def _changing(store: Store) -> Iterator[sa.Connection]:
    """A transaction in which this process alone changes users: of two on PostgreSQL, each would count the admin that the other
    takes away, or add the user that the other adds. SQLite has one writer anyway.
    """
    with store.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_CHANGING)))
        yield connection


def _keep_an_admin(connection: sa.Connection) -> None:
    users = tables.users
    wanted = sa.select(users.c.name).where(users.c.role == "admin", users.c.disabled.is_(False)).limit(1)
    if connection.scalar(wanted) is None:
        msg = "No admin would be left; the first user must be an admin, and the last admin must stay one."
        raise UsageError(msg)


def _user(row: sa.Row[tuple[object, ...]]) -> User:
    return User(row.name, row.role, row.source, bool(row.disabled), row.created)
