"""The hospital's network: systems, what arrived, and what is on its way to other systems."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from casewise.server.schemas.common import Given

ObjectState = Literal["waiting", "sending", "sent", "committed", "dead"]
ObjectKind = Literal["seg", "sr", "capture", "map"]
ArrivalState = Literal["receiving", "complete", "taken in", "failed"]


class SenderLine(BaseModel):
    """Who may send. ``address`` : None: from anywhere. ``site`` : what its images are marked with."""

    ae_title: str
    address: str | None
    site: str | None


class SystemLine(BaseModel):
    """Where results can be sent. ``kind`` : dicom (C-STORE) or web (STOW-RS). ``address`` : ``AETITLE@host:port``, or a url.
    ``commitment`` : whether it is asked to commit to storing. ``usual`` : whether results of received images go there where no
    rule says another.
    """

    name: str
    kind: Literal["dicom", "web"]
    address: str
    commitment: bool
    usual: bool


class NetworkState(BaseModel):
    """``port`` : where casewise receives; None: it does not. ``senders`` : empty: whoever reaches the receiver. ``arrivals``,
    ``outbox`` : state → how many. ``oldest_seconds`` : how long the object that waits longest has been on its way.
    """

    ae_title: str
    host: str
    port: int | None
    senders: list[SenderLine]
    systems: list[SystemLine]
    volumes: list[ObjectKind]
    radiographs: list[ObjectKind]
    arrivals: dict[str, int]
    outbox: dict[str, int]
    oldest_seconds: float


class ArrivalLine(BaseModel):
    """A series that was received. ``expected`` : how many instances it has where it came from, as far as that is known.
    ``version`` : how often it was complete. ``cases`` : keys of the images that it became. ``error`` : one sentence.
    """

    series_uid: str
    study_uid: str
    sender: str
    address: str
    site: str | None
    modality: str
    instances: int
    expected: int | None
    first: float
    last: float
    state: ArrivalState
    version: int
    cases: list[str]
    error: str | None


class ArrivalPage(BaseModel):
    """``next`` : the ``after`` of the page that follows; None on the last one."""

    arrivals: list[ArrivalLine]
    counts: dict[str, int]
    next: str | None


class ObjectLine(BaseModel):
    """An object for a system.

    ``awaiting`` : it was taken, and the system's report on storage commitment has not come yet. ``due`` : when a waiting one is
    tried next. ``superseded`` : a newer result was made since. ``error`` : one sentence, of the last try.
    """

    id: int
    target: str
    kind: ObjectKind
    case: str | None
    result: int | None
    state: ObjectState
    awaiting: bool
    superseded: bool
    tries: int
    due: float | None
    error: str | None
    created_by: str | None
    created: float
    changed: float


class ObjectPage(BaseModel):
    objects: list[ObjectLine]
    counts: dict[str, int]
    next: int | None


class AgainOrder(Given):
    """Send dead letters again: all, or those of one system."""

    target: str | None = Field(default=None, max_length=64)


class AgainAnswer(BaseModel):
    """``objects`` : how many wait now."""

    objects: int


class Reached(BaseModel):
    """Whether a system answered. ``sentence`` : what it said, or why it cannot be reached."""

    name: str
    answers: bool
    sentence: str
    seconds: float


class SendOrder(Given):
    """Send a case's newest result. ``targets`` : names of systems. ``kinds`` : None: as the settings say for such an image."""

    targets: list[str] = Field(min_length=1, max_length=20)
    kinds: list[ObjectKind] | None = Field(default=None, min_length=1, max_length=4)
