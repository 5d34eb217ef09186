"""Who is asking, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, HTTPException, Request

ROLES = ("reader", "annotator", "admin")
LOCAL = "local"  # the name of whoever uses a server on their own machine that has no users


@dataclass(frozen=True)
class Person:
    """name : as in the audit log. role : reader, annotator or admin, of a token at most the token's own. how : cookie, token or
    local (no sign-in needed). until : when the token that asks ends, in seconds since 1970; None where no token asks.
    """

    name: str
    role: str
    how: str
    until: float | None = field(default=None, compare=False)

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


def person(request: Request) -> Person | None:
    """Who the request is from, as the security layer found out; None where nobody is signed in."""
    found: Person | None = getattr(request.state, "person", None)
    return found


class _Needs:
    def __init__(self, role: str) -> None:
        self.role = role

    def __call__(self, request: Request) -> Person:
        asking = person(request)
        if asking is None:
            raise HTTPException(401, "Sign in first.")
        if not asking.may(self.role):
            raise HTTPException(403, f"This needs the role {self.role}; {asking.name} is {asking.role}.")
        return asking


Reader = Annotated[Person, Depends(_Needs("reader"))]
Annotator = Annotated[Person, Depends(_Needs("annotator"))]
Admin = Annotated[Person, Depends(_Needs("admin"))]
