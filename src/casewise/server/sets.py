"""Sets: one structure over many images; who outlines which, what comes next, and what it took.

An image is given to one person at a time: it is theirs until it is accepted or skipped, or until nothing was heard of them for
half an hour. With an image comes the choice of the one after it, which is kept for that person and prepared by a job meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from casewise.errors import UsageError
from casewise.server import prepared, strategies
from casewise.server.access import Person
from casewise.server.cases import Cases
from casewise.server.jobs import Jobs
from casewise.server.label_names import check_structure
from casewise.server.problems import ConflictError, NotThereError
from casewise.server.schemas.sessions import NextImage
from casewise.server.schemas.sets import SetChange, SetDetail, SetImage, SetImageChange, SetLine, SetOrder
from casewise.server.store import Store, efforts, sessions, set_images, sets
from casewise.server.strategies import Choice, Waiting
from casewise.server.vectors import CurrentVectors
from casewise.server.worklist import Filters

LEASE = 30 * 60.0  # seconds without a sign of life after which an image is given to somebody else
_TRIES = 200  # times that another may be faster, who takes one image and has one more kept: a hundred at once get theirs
_NAMED = 3  # unknown keys that an error names
_AT_ONCE = 500
_LISTED = 1000  # images of a set that its page lists


class BusySetError(UsageError):
    """An image waits, but others were faster each time: asking again gives one."""


@dataclass(frozen=True, eq=False)
class Sets:
    """The sets of one archive."""

    store: Store
    cases: Cases
    jobs: Jobs

    @cached_property
    def _vectors(self) -> CurrentVectors:
        return CurrentVectors(self.cases.archive)

    def create(self, order: SetOrder, person: str) -> int:
        """Make a set and return its number; images that have the structure's mask already count as accepted.

        Raises UsageError for a set without images or with unknown ones, and for a structure's name that cannot be, ConflictError
        for a name that another set has.
        """
        check_structure(order.structure)
        worklist = self.cases.worklist
        keys = worklist.keys(Filters(category=order.category, site=order.site))
        if order.cases is not None:
            known, wanted = set(keys), list(dict.fromkeys(order.cases))
            unknown = [key[:40] for key in wanted if key not in known]
            if unknown:
                named = ", ".join(unknown[:_NAMED]) + (f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else "")
                raise UsageError(f"The archive has no such cases of this category and site: {named}.")
            keys = wanted
        if not keys:
            raise UsageError("No image of the archive is of this category and site; a set needs at least one.")
        done = self._masked(order.structure)
        now = time.time()
        try:
            with self.store.write() as connection:
                values = {"name": order.name, "structure": order.structure, "strategy": order.strategy, "created_by": person}
                made = connection.execute(sa.insert(sets).values(**values, created=now))
                number = int(made.inserted_primary_key[0])  # type: ignore[index]
                rows = [
                    {"set_id": number, "image_key": key, "position": place, "state": "accepted" if key in done else "waiting"}
                    for place, key in enumerate(keys)
                ]
                connection.execute(sa.insert(set_images), rows)
        except sa.exc.IntegrityError:
            raise ConflictError(f"There is a set called {order.name!r} already; choose another name.") from None
        self._catch_up_accepted(number, self._masked(order.structure) - done)
        return number

    def lines(self) -> list[SetLine]:
        with self.store.read() as connection:
            rows = connection.execute(sa.select(sets).order_by(sets.c.id.desc())).all()
            return [SetLine(**_line(connection, row)) for row in rows]

    def line(self, number: int) -> SetLine:
        """Raises NotThereError for a number that no set has."""
        with self.store.read() as connection:
            return SetLine(**_line(connection, _row(connection, number)))

    def detail(self, number: int, person: str) -> SetDetail:
        """With its images, and which ``person`` would get next. Raises NotThereError for a number that no set has."""
        with self.store.read() as connection:
            row = _row(connection, number)
            line = _line(connection, row)
            of_set = sa.select(set_images).where(set_images.c.set_id == number)
            doubtful = (set_images.c.doubt.is_(None), set_images.c.doubt.desc(), set_images.c.position)
            accepted = connection.execute(of_set.where(set_images.c.state == "accepted").order_by(*doubtful).limit(_LISTED)).all()
            others = of_set.where(set_images.c.state != "accepted").order_by(set_images.c.position).limit(_LISTED)
            found = [*accepted, *connection.execute(others)]
        names = self._names([one.image_key for one in found])
        images = [_image(one, names.get(one.image_key, one.image_key[:8])) for one in found]
        choice = self._mine(row, person) or self._choice(row, person)
        following = None if choice is None else self._next_image(choice, row.structure, None)
        after = self._kept(row, person)
        kept = None if after is None else self._next_image(after, row.structure, None)
        return SetDetail(**line, images=images, next=following, following=kept)

    def change(self, number: int, change: SetChange) -> None:
        """Raises NotThereError for an unknown set, ConflictError for a name that another one has."""
        values = change.model_dump(exclude_none=True)
        try:
            with self.store.write() as connection:
                _row(connection, number)
                if values:
                    connection.execute(sa.update(sets).where(sets.c.id == number).values(**values))
        except sa.exc.IntegrityError:
            raise ConflictError(f"There is a set called {change.name!r} already; choose another name.") from None

    def change_image(self, number: int, key: str, change: SetImageChange, person: Person) -> None:
        """Skip, exclude or put back an image. Raises NotThereError for one that is not in the set, ConflictError for one that
        another person has accepted or has open, which an admin alone may change.
        """
        one = (set_images.c.set_id == number, set_images.c.image_key == key)
        ended = None if change.state == "waiting" else time.time()
        user = None if change.state == "waiting" else person.name
        values = {"state": change.state, "user": user, "taken": None, "ended": ended, "doubt": None}
        may = sa.true() if person.may("admin") else sa.not_(_of_another(person.name))
        with self.store.write() as connection:
            _row(connection, number)
            if connection.execute(sa.update(set_images).where(*one, may).values(**values)).rowcount == 1:
                return
            if connection.execute(sa.select(set_images.c.image_key).where(*one)).first() is None:
                raise NotThereError(f"The set has no image {key[:40]!r}.")
            raise ConflictError("Another person has accepted this image or has it open; ask them or an admin to change it.")

    def check(self, number: int) -> None:
        """Raises NotThereError for an unknown set."""
        with self.store.read() as connection:
            _row(connection, number)

    def next(self, number: int, person: str) -> NextImage | None:
        """Give ``person`` the next image of a set: the one that is theirs, the one that was kept for them, or a new one; None where
        none waits. Raises NotThereError for an unknown set, BusySetError where others were faster each time.
        """
        with self.store.read() as connection:
            row = _row(connection, number)
        choice, job = self._taken(row, person), None
        if choice is None:
            return None
        if choice.without is not None:
            job = self._catch_up(row, choice.without)
        self._prepare_following(row, person)
        return self._next_image(choice, row.structure, job)

    def accepted(
        self,
        key: str,
        structure: str,
        person: str,
        *,
        strokes: int | None,
        seconds: float | None,
        set_id: int | None = None,
        counted: tuple[int, float] | None = None,
    ) -> None:
        """Note that ``person`` accepted a mask, and what it took in all (None where it was drawn elsewhere).

        Every set of the structure that holds the image counts it. counted : what an earlier acceptance of the same work noted.
        """
        now = time.time()
        more = _more(strokes, seconds, counted)
        effort = {"image_key": key, "structure": structure, "set_id": set_id, "user": person}
        done = {"state": "accepted", "user": person, "strokes": strokes, "seconds": seconds, "ended": now, "taken": None}
        of_structure = sa.select(sets.c.id).where(sets.c.structure == structure)
        held = (set_images.c.image_key == key, set_images.c.set_id.in_(of_structure))
        with self.store.write() as connection:
            if more is not None:
                connection.execute(sa.insert(efforts).values(**effort, strokes=more[0], seconds=more[1], ended=now))
            connection.execute(sa.update(set_images).where(*held).values(**done, doubt=None))
            numbers = list(connection.scalars(sa.select(set_images.c.set_id).where(*held)))
            strategy = sa.select(sets.c.id).where(sets.c.id.in_(numbers), sets.c.strategy == "uncertainty")
            uncertain = set(connection.scalars(strategy))
        prepared.forget(self.cases.archive.folder, key, structure)
        for number in numbers:
            self._catch_up_doubt(number)
            if number in uncertain:
                self._catch_up_uncertainty(number)

    def chosen(self, key: str, structure: str) -> None:
        """Another mask of the structure counts for the image: how doubtful it is, is to be found anew."""
        of_structure = sa.select(sets.c.id).where(sets.c.structure == structure)
        held = (set_images.c.image_key == key, set_images.c.set_id.in_(of_structure))
        with self.store.write() as connection:
            connection.execute(sa.update(set_images).where(*held).values(doubt=None))
            numbers = list(connection.scalars(sa.select(set_images.c.set_id).where(*held)))
        for number in numbers:
            self._catch_up_doubt(number)

    def _masked(self, structure: str) -> set[str]:
        """Keys of the images that have a mask of the structure."""
        return set(self.cases.worklist.keys(Filters(structure=structure)))

    def _catch_up_accepted(self, number: int, keys: Collection[str]) -> None:
        """Count images whose masks were accepted while the set was made, and so before it could be notified of them."""
        of_set, every = (set_images.c.set_id == number, set_images.c.state == "waiting"), sorted(keys)
        for first in range(0, len(every), _AT_ONCE):
            some = set_images.c.image_key.in_(every[first : first + _AT_ONCE])
            with self.store.write() as connection:
                connection.execute(sa.update(set_images).where(*of_set, some).values(state="accepted", user=None, taken=None))

    def _taken(self, row: Any, person: str) -> Choice | None:
        for _ in range(_TRIES):
            choice, kept_too = self._mine(row, person) or self._choice(row, person), False
            if choice is None:  # what is left is kept for others, who may be given something else
                choice, kept_too = self._choice(row, person, kept_too=True), True
            if choice is None or self._take(row.id, choice, person, "open", kept_too):
                return choice
        raise BusySetError("Others take the images of this set faster than they can be given out; try again.")

    def _mine(self, row: Any, person: str) -> Choice | None:
        """The image that the person has open, or that is kept for them."""
        own = (set_images.c.set_id == row.id, set_images.c.user == person)
        kept = sa.and_(set_images.c.state == "waiting", set_images.c.taken >= time.time() - LEASE)
        query = sa.select(set_images).where(*own, sa.or_(set_images.c.state == "open", kept))
        with self.store.read() as connection:
            one = connection.execute(query.order_by(set_images.c.state, set_images.c.position).limit(1)).one_or_none()
        return None if one is None else Choice(one.image_key, one.reason)

    def _kept(self, row: Any, person: str) -> Choice | None:
        """The image that is kept for the person after the one that they have."""
        own = (set_images.c.set_id == row.id, set_images.c.user == person, set_images.c.state == "waiting")
        with self.store.read() as connection:
            query = sa.select(set_images).where(*own, set_images.c.taken >= time.time() - LEASE)
            one = connection.execute(query.order_by(set_images.c.position).limit(1)).one_or_none()
        return None if one is None else Choice(one.image_key, one.reason)

    def _choice(self, row: Any, person: str, besides: str | None = None, kept_too: bool = False) -> Choice | None:
        """What the set's strategy gives ``person``. besides : an image that they have already, which counts as labelled.
        kept_too : also of the images that are kept for others.
        """
        of_set, can_be = set_images.c.set_id == row.id, _free(person, kept_too)
        with self.store.read() as connection:
            free = sa.select(set_images.c.image_key, set_images.c.uncertainty).where(of_set, can_be)
            waiting = {key: value for key, value in connection.execute(free.order_by(set_images.c.position)) if key != besides}
            busy = sa.select(set_images.c.image_key).where(of_set, sa.not_(can_be))
            opened = list(connection.scalars(busy.where(set_images.c.state.in_(["open", "waiting"]))))
        labelled: list[str] = []
        vectors: strategies.Vectors = _NoVectors()
        if row.strategy == "unlike" and waiting:
            done = self.cases.worklist.keys(Filters(structure=row.structure))
            labelled = list(dict.fromkeys([*done, *opened, *([besides] if besides else [])]))
            vectors = self._vectors.get()
        known = {key: value for key, value in waiting.items() if value is not None}
        return strategies.choose(row.strategy, Waiting(row.id, list(waiting), labelled, known), vectors)

    def _take(self, number: int, choice: Choice, person: str, state: str, kept_too: bool = False) -> bool:
        """Whether the image could be taken (``open``) or kept (``waiting``) for the person: nobody else was faster."""
        one = (set_images.c.set_id == number, set_images.c.image_key == choice.key)
        mine = sa.and_(set_images.c.user == person, set_images.c.state.in_(["open", "waiting"]))
        values = {"state": state, "user": person, "taken": time.time(), "reason": choice.reason}
        with self.store.write() as connection:
            changed = connection.execute(sa.update(set_images).where(*one, sa.or_(_free(person, kept_too), mine)).values(**values))
            return changed.rowcount == 1

    def _prepare_following(self, row: Any, person: str) -> None:
        """Keep the image after the one that the person has now, and have it prepared, where there are masks to prepare it by."""
        with self.store.read() as connection:
            own = (set_images.c.set_id == row.id, set_images.c.user == person)
            open_now = connection.scalar(sa.select(set_images.c.image_key).where(*own, set_images.c.state == "open").limit(1))
            kept = sa.select(set_images.c.image_key).where(*own, set_images.c.state == "waiting")
            if connection.scalar(kept.where(set_images.c.taken >= time.time() - LEASE).limit(1)) is not None:
                return
        choice = self._choice(row, person, open_now)
        if choice is None or not self._take(row.id, choice, person, "waiting"):
            return
        if self.cases.worklist.keys(Filters(structure=row.structure)):
            order = {"case": choice.key, "structure": row.structure}
            self.jobs.add(
                "prepare",
                {**order, "title": f"Prepare the next {row.structure.replace('_', ' ')}"},
                unique_key=f"prepare:{row.structure}:{choice.key}",
                priority=5,
            )

    def _catch_up(self, row: Any, without: str) -> int:
        """Queue the job that gives the strategy what it lacks."""
        if without == "vectors":
            return self.jobs.add("embed", {"title": "Compare images"}, unique_key="embed", priority=1)
        return self._catch_up_uncertainty(row.id)

    def _catch_up_doubt(self, number: int) -> None:
        self.jobs.add("score", {"set": number, "title": "Look for doubtful masks"}, unique_key=f"score:{number}", priority=-5)

    def _catch_up_uncertainty(self, number: int) -> int:
        return self.jobs.add(
            "uncertainty", {"set": number, "title": "Look for uncertain images"}, unique_key=f"uncertainty:{number}", priority=-4
        )

    def _next_image(self, choice: Choice, structure: str, job: int | None) -> NextImage:
        ready = prepared.is_there(self.cases.archive.folder, choice.key, structure)
        name = self._names([choice.key]).get(choice.key, choice.key[:8])
        return NextImage(key=choice.key, name=name, reason=choice.reason, prepared=ready, job=job)

    def _names(self, keys: Sequence[str]) -> dict[str, str]:
        names: dict[str, str] = {}
        for first in range(0, len(keys), _AT_ONCE):
            names |= self.cases.names(list(keys[first : first + _AT_ONCE]))
        return names


class _NoVectors:
    """For strategies that compare no images."""

    def missing(self, keys: Collection[str]) -> int:
        return len(keys)

    def of(self, keys: Sequence[str]) -> Any:
        return [], ()


def _free(person: str, kept_too: bool) -> sa.ColumnElement[bool]:
    """Whether an image can be given to ``person``: it waits and is kept for nobody else (unless ``kept_too``), or whoever had it
    has gone; and nobody else has a session on it.
    """
    since = time.time() - LEASE
    others = (sessions.c.image_key == set_images.c.image_key, sessions.c.user != person, sessions.c.seen >= since)
    idle = sa.not_(sa.exists().where(*others))
    gone = sa.func.coalesce(set_images.c.taken, 0.0) < since
    own = sa.or_(sa.literal(kept_too), set_images.c.user.is_(None), set_images.c.user == person, gone)
    waits = sa.and_(set_images.c.state == "waiting", own)
    return sa.and_(idle, sa.or_(waits, sa.and_(set_images.c.state == "open", gone)))


def _of_another(person: str) -> sa.ColumnElement[bool]:
    """Whether somebody else than ``person`` has accepted an image, or has it open and is still there."""
    since = time.time() - LEASE
    theirs = (sessions.c.image_key == set_images.c.image_key, sessions.c.user == set_images.c.user, sessions.c.seen >= since)
    there = sa.or_(sa.func.coalesce(set_images.c.taken, 0.0) >= since, sa.exists().where(*theirs))
    busy = sa.or_(set_images.c.state == "accepted", sa.and_(set_images.c.state == "open", there))
    return sa.and_(set_images.c.user.is_not(None), set_images.c.user != person, busy)


def _more(strokes: int | None, seconds: float | None, counted: tuple[int, float] | None) -> tuple[int, float] | None:
    """The strokes and seconds that were not counted yet; None where there are none."""
    if strokes is None:
        return None
    before = counted or (0, 0.0)
    more = strokes - before[0], round(max((seconds or 0.0) - before[1], 0.0), 1)
    return more if counted is None or any(more) else None


def _row(connection: sa.Connection, number: int) -> Any:
    row = connection.execute(sa.select(sets).where(sets.c.id == number)).one_or_none()
    if row is None:
        raise NotThereError(f"There is no set {number}; the page Sets lists those that there are.")
    return row


def _line(connection: sa.Connection, row: Any) -> dict[str, Any]:
    of_set = set_images.c.set_id == row.id
    counted = sa.select(set_images.c.state, sa.func.count()).where(of_set).group_by(set_images.c.state)
    worked = sa.select(set_images.c.strokes, set_images.c.seconds).where(of_set, set_images.c.strokes.is_not(None))
    effort = connection.execute(worked.where(set_images.c.state == "accepted").order_by(set_images.c.ended)).all()
    return {
        **{name: getattr(row, name) for name in ("id", "name", "structure", "strategy", "created_by", "created")},
        "counts": {str(state): int(count) for state, count in connection.execute(counted)},
        "strokes": [one.strokes for one in effort],
        "seconds": [one.seconds or 0.0 for one in effort],
    }


def _image(row: Any, name: str) -> SetImage:
    same = ("state", "user", "strokes", "seconds", "doubt", "reason", "ended")
    return SetImage(key=row.image_key, name=name, **{field: getattr(row, field) for field in same})
