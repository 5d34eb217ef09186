"""Bearer tokens for programs: hashed, with a role of their own, and an end."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from casewise.errors import UsageError
from casewise.server import store as tables
from casewise.server.access import LOCAL, ROLES, Person
from casewise.server.secrets import hash_of, new_secret
from casewise.server.store import Store
from casewise.server.users import any_users

LONGEST_HOURS = 24 * 366


@dataclass(frozen=True)
class Token:
    """A token without its value. created, expires : seconds since 1970."""

    id: str
    user: str
    role: str
    note: str
    created: float
    expires: float


def issue_token(
    store: Store, user: str, role: str, hours: float, note: str = "", *, asking: Person | None = None
) -> tuple[str, Token]:
    """A new token of ``user``, who is known to the caller; returns its value, which is stored nowhere, and the token.

    asking : who asks for it where it is not a password that does. A token that asks for another hands on no more than it has: its
    own role at most, until its own end at the latest.
    Raises UsageError for a role above the user's or the asking one's, and for hours that are not above 0 and at most a year.
    """
    if not 0 < hours <= LONGEST_HOURS:
        msg = f"The token would last {hours:g} hours; more than 0 and at most {LONGEST_HOURS} are allowed."
        raise UsageError(msg)
    value, now = f"cw_{new_secret()}", time.time()
    ends = now + hours * 3600
    if asking is not None and asking.until is not None:
        ends = min(ends, asking.until)
    made = Token(new_secret()[:12], user, role, note, now, ends)
    tokens, users = tables.tokens, tables.users
    with store.write() as connection:
        connection.execute(sa.delete(tokens).where(tokens.c.expires < now))
        highest = "admin" if user == LOCAL else connection.scalar(sa.select(users.c.role).where(users.c.name == user))
        if highest is not None and asking is not None:
            highest = min(highest, asking.role, key=ROLES.index)
        if highest is None or role not in ROLES or ROLES.index(role) > ROLES.index(highest):
            msg = f"A token of {user} cannot have the role {role!r}; allowed is at most {highest or 'none'}."
            raise UsageError(msg)
        connection.execute(sa.insert(tokens).values(hash=hash_of(value), **made.__dict__))
    return value, made


def person_of_token(store: Store, value: str) -> Person | None:
    """Whose token this is, with the lower of its role and theirs; None for one that is unknown, expired or revoked."""
    tokens, users = tables.tokens, tables.users
    with store.read() as connection:
        wanted = (
            sa.select(tokens.c.user, tokens.c.role, tokens.c.expires, users.c.role.label("now"), users.c.disabled)
            .outerjoin(users, users.c.name == tokens.c.user)
            .where(tokens.c.hash == hash_of(value))
        )
        row = connection.execute(wanted).first()
    if row is None or row.expires <= time.time():
        return None
    if row.user == LOCAL:
        return None if any_users(store) else Person(LOCAL, row.role, "token", row.expires)
    if row.now is None or row.disabled:
        return None
    return Person(row.user, min(row.role, row.now, key=ROLES.index), "token", row.expires)


def tokens_of(store: Store, person: Person) -> list[Token]:
    """Those that a person may see, the newest first: an admin all, others their own; a token none that is more than itself."""
    tokens = tables.tokens
    wanted = sa.select(tokens).where(tokens.c.expires > time.time(), _within(person))
    with store.read() as connection:
        rows = connection.execute(wanted.order_by(tokens.c.created.desc(), tokens.c.id)).all()
    return [Token(row.id, row.user, row.role, row.note, row.created, row.expires) for row in rows]


def revoke(store: Store, id: str, person: Person) -> bool:
    """End a token, of those that the person may see; False where there is none."""
    tokens = tables.tokens
    with store.write() as connection:
        return connection.execute(sa.delete(tokens).where(tokens.c.id == id, _within(person))).rowcount == 1


def _within(person: Person) -> sa.ColumnElement[bool]:
    """Which tokens a person has a say in."""
    tokens = tables.tokens
    if person.may("admin"):
        return sa.true()
    own = tokens.c.user == person.name
    if person.until is None:
        return own
    return own & tokens.c.role.in_(ROLES[: ROLES.index(person.role) + 1]) & (tokens.c.expires <= person.until)
