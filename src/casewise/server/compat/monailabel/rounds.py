"""A client's marks as rounds of an interactive session.

The clients send all marks that there are, every time: a map of all scribbles, a list of all clicks. The session knows which of them
it has had, so what is new is one round, and what is missing was erased: the rounds are done again without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError, UsageError
from casewise.image import Box, Image
from casewise.interaction.crossing import Crossed
from casewise.server.access import Person
from casewise.server.compat.monailabel.found import Subject
from casewise.server.sessions import Session, Sessions

Flat = npt.NDArray[np.int64]
Points = npt.NDArray[np.int64]
_PAUSE = 60.0  # seconds: whoever does nothing for longer is not at work


def client_of(person: Person, params: Mapping[str, Any]) -> str:
    """Whose marks these are: two clients of one person do not share a session."""
    return f"{person.name}/{str(params.get('client_id') or 'client')[:60]}"


@dataclass(frozen=True, eq=False)
class Marks:
    """foreground, background : flat indices of voxels, in C order over the image's own axes, sorted.

    box : None where none is drawn. anew : forget what was marked before. similar : whether accepted cases of the archive may lead
    the first answer. crossed : what the client marked as both.
    """

    structure: str
    foreground: Flat
    background: Flat
    box: Box | None = None
    anew: bool = False
    similar: bool = True
    crossed: Crossed = field(default_factory=Crossed)


@dataclass(eq=False)
class Rounds:
    """The sessions that clients have on images, by who marks in which image. One call at a time on each."""

    sessions: Sessions
    _ids: dict[tuple[str, str], str] = field(default_factory=dict)
    _boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    _called: dict[str, float] = field(default_factory=dict)
    _locks: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    async def answer(self, subject: Subject, image: Image, who: str, marks: Marks) -> Session:
        """The session after these marks, with the structure as its current object.

        Raises UsageError, one sentence, where there is nothing to begin with.
        """
        async with self._lock(who, subject):
            session = await self._opened(subject, image, who, marks)
            before = _flat(session)
            if marks.anew or (before.any and not before.keeps(marks)) or self._moved(session, marks):
                await self._end(who, subject, session)
                session = await self._opened(subject, image, who, marks)
                before = _flat(session)
            if not (marks.foreground.size or marks.background.size or marks.box or session.drawing.outline is not None):
                raise UsageError("There is nothing to begin with; mark the structure, or draw a region of interest around it.")
            await self._follow(session, who, before, marks)
            return session

    async def spent(self, subject: Subject, who: str) -> dict[str, tuple[int, float]]:
        """Structure → strokes and seconds that somebody spent on it in an image; then the session ends, as its labels are saved."""
        async with self._lock(who, subject):
            identity = self._ids.get((who, subject.identity))
            if identity is None:
                return {}
            try:
                session = await self.sessions.get(identity, who)
            except LookupError:
                return {}
            await self._end(who, subject, session)
            return {drawing.structure: (drawing.strokes, round(drawing.seconds, 1)) for drawing in session.drawings}

    async def end(self, over: Callable[[str, float], bool]) -> None:
        """End the sessions on clients' own images for which ``over`` is true, given what the image is called and when it was last
        used; their copies of the images go with them.
        """

        def ended() -> list[tuple[str, str, str]]:
            known = [(row, row.data.get("sent")) for row in self.sessions.saved.sent()]
            return [(row.user, sent, row.id) for row, sent in known if sent is not None and over(sent, row.seen)]

        for who, sent, identity in await asyncio.to_thread(ended):
            self._forget(who, sent, identity)
            await self.sessions.drop(identity)

    def _lock(self, who: str, subject: Subject) -> asyncio.Lock:
        return self._locks.setdefault((who, subject.identity), asyncio.Lock())

    async def _opened(self, subject: Subject, image: Image, who: str, marks: Marks) -> Session:
        """The session, with the structure of the marks as its current object."""
        if subject.key is not None:
            begin = "guess" if marks.similar else "empty"
            session = await self.sessions.open(subject.key, who, marks.structure, begin=begin)
            session = await self.sessions.arrived(session.id, who)
        else:
            session = await self._own(subject, image, who, marks)
        self._ids[who, subject.identity] = session.id
        if marks.box is not None and session.drawing.outline is None:
            await self.sessions.box(session.id, who, marks.box)
        if marks.box is not None:
            self._boxes.setdefault((session.id, marks.structure), marks.box)
        return session

    async def _own(self, subject: Subject, image: Image, who: str, marks: Marks) -> Session:
        known = await self._known(subject, who)
        if known is None:
            return await self.sessions.open_image(image, who, marks.structure, sent=subject.identity)
        return await self.sessions.add_object(known, who, marks.structure)

    async def _known(self, subject: Subject, who: str) -> str | None:
        """The session that there is on a client's own image, maybe of an earlier server; one that cannot be read is removed."""
        known = self._ids.get((who, subject.identity)) or await asyncio.to_thread(self._saved, subject, who)
        if known is None:
            return None
        try:
            return (await self.sessions.get(known, who)).id
        except LookupError:  # it has ended
            return None
        except CasewiseError:
            await self.sessions.drop(known)
            return None

    def _saved(self, subject: Subject, who: str) -> str | None:
        rows = self.sessions.saved.sent()
        return next((row.id for row in rows if row.user == who and row.data.get("sent") == subject.identity), None)

    def _moved(self, session: Session, marks: Marks) -> bool:
        """Whether the region of interest is another than the session's."""
        known = self._boxes.get((session.id, marks.structure))
        return marks.box is not None and known is not None and known != marks.box

    async def _end(self, who: str, subject: Subject, session: Session) -> None:
        self._forget(who, subject.identity, session.id)
        await self.sessions.close(session.id, who)

    def _forget(self, who: str, subject: str, identity: str) -> None:
        for key in [key for key in self._boxes if key[0] == identity]:
            del self._boxes[key]
        self._ids.pop((who, subject), None)
        self._called.pop(identity, None)

    def _worked(self, session: Session) -> float:
        """Seconds of work since the last call: pauses do not count."""
        before, now = self._called.get(session.id, session.created), time.time()
        self._called[session.id] = now
        return min(now - before, _PAUSE)

    async def _follow(self, session: Session, who: str, before: _Before, marks: Marks) -> None:
        """Erase what is marked no more, and add what is new."""
        shape = session.image.spatial_shape
        wanted = np.union1d(marks.foreground, marks.background)
        erased = np.setdiff1d(before.marked, wanted)
        if erased.size:
            await self.sessions.erase(session.id, who, _points(erased, shape))
        foreground = np.setdiff1d(marks.foreground, before.foreground)
        background = np.setdiff1d(marks.background, before.background)
        if foreground.size or background.size:
            points = _points(foreground, shape), _points(background, shape)
            await self.sessions.strokes(session.id, who, *points, seconds=self._worked(session))


@dataclass(frozen=True, eq=False)
class _Before:
    """What marks a session has of its current object, as flat indices."""

    foreground: Flat
    background: Flat

    @property
    def marked(self) -> Flat:
        return np.union1d(self.foreground, self.background)

    @property
    def any(self) -> bool:
        return bool(self.foreground.size or self.background.size)

    def keeps(self, marks: Marks) -> bool:
        """Whether anything of it is still marked: else the client has cleared its marks, and begins again."""
        return bool(np.isin(self.marked, np.union1d(marks.foreground, marks.background)).any())


def _flat(session: Session) -> _Before:
    shape = session.image.spatial_shape
    foreground, background = (np.sort(np.ravel_multi_index(tuple(points.T), shape)) for points in session.drawing.marked)
    return _Before(foreground, background)


def _points(flat: Flat, shape: tuple[int, ...]) -> Points:
    return np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int64)


def flat_indices(points: Points, shape: tuple[int, ...]) -> Flat:
    """Sorted flat indices of places (n, axes) of an image of ``shape``."""
    found: Any = np.ravel_multi_index(tuple(points.T), shape) if len(points) else np.zeros(0, np.int64)
    return np.unique(np.asarray(found, np.int64))
