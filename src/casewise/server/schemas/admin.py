"""People, tokens, the audit log, and the state of the server."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import Given

Role = Literal["reader", "annotator", "admin"]


class Me(BaseModel):
    """Who is asking. ``users`` : whether people sign in here at all. ``network`` : whether there is a page on the network for them:
    systems are set, or images are received; an admin sees it always.
    """

    name: str
    role: Role
    users: bool
    show_names: bool
    version: str
    network: bool


class SignIn(Given):
    """A name and its password."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=1000)


class UserLine(BaseModel):
    """A person."""

    name: str
    role: Role
    source: str
    disabled: bool
    created: float


class UserOrder(Given):
    """A new person, or a change: without ``password`` it stays; ``disabled`` ends all logins and tokens."""

    role: Role
    password: str | None = Field(default=None, min_length=12, max_length=200)
    disabled: bool = False


class TokenOrder(Given):
    """A bearer token for a program. ``role`` : at most one's own. ``hours`` : less where the token that asks ends before."""

    role: Role = "annotator"
    note: str = Field(default="", max_length=200)
    hours: float = Field(default=12, gt=0, le=24 * 366)


class TokenLine(BaseModel):
    """A token, without its value."""

    id: str
    user: str
    role: Role
    note: str
    created: float
    expires: float


class NewToken(TokenLine):
    """The value is shown once and never again."""

    token: str


class AuditLine(BaseModel):
    """Who did what to which object, and with what outcome."""

    id: int
    time: float
    user: str
    address: str
    action: str
    object: str
    outcome: str


class AuditCheck(BaseModel):
    """Whether the log is as it was written. ``problem`` : one sentence; None where nothing was tampered with."""

    rows: int
    problem: str | None


class ServerState(BaseModel):
    """For the administrator: disk, memory, sessions, queue, version."""

    version: str
    started: float
    disk_free: int
    disk_total: int
    memory: int
    sessions: int
    images_cached: int
    queue: dict[str, int]
    workers: list[str]
