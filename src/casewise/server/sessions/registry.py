"""The registry of interactive sessions: one thing at a time on each, bounded in memory, saved after each round."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TypeVar, Unpack
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from casewise.archive import Archive
from casewise.device import resolve_device
from casewise.errors import CasewiseError
from casewise.image import Box, Image
from casewise.server.images import ImageCache
from casewise.server.jobs import Jobs
from casewise.server.masks import Mask
from casewise.server.memory import keep_freed
from casewise.server.networks import Networks
from casewise.server.sessions.accepting import Acceptance, Noted, accept
from casewise.server.sessions.beginning import Beginning, checked_begin
from casewise.server.sessions.drawing import Drawing
from casewise.server.sessions.orders import Known, Order, next_orders, perform
from casewise.server.sessions.saved import Saved, filled
from casewise.server.sessions.session import LEASE, Answered, Session, UnknownSessionError, held_bytes
from casewise.server.settings import Settings
from casewise.server.store import Store

Points = npt.NDArray[np.int64]
Drawn = Box | Sequence[Sequence[int]]
Result = TypeVar("Result")
_NOTED = 20.0  # seconds between the times at which it is written down that a person is still there
_IDLE = 30 * 60.0  # seconds without action after which a session is held on disk alone


class Sessions:
    """The sessions of one server. Methods are awaited on its event loop; the work is done in a pool of threads.

    ``user`` is the person's name, and a session is found by its own person alone. Raised are :class:`UnknownSessionError` (a
    LookupError) where there is none, :class:`StaleRoundError` where an order is for an object that is not there or for another
    round than its own, and UsageError, one sentence, for what cannot be.
    """

    def __init__(self, archive: Archive, store: Store, settings: Settings, images: ImageCache, jobs: Jobs) -> None:
        keep_freed()
        self.archive, self.settings, self.images = archive, settings, images
        self.networks = Networks(archive)
        self.saved = Saved(store, archive.folder)
        self.on_accept: Noted | None = None
        self.on_round: Callable[[float], object] | None = None  # given the seconds of each round of strokes
        self._beginning = Beginning(archive, self.networks, jobs)
        self._held: OrderedDict[str, Session] = OrderedDict()
        self._opening: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()  # gone with their last user
        self._pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), "round", initializer=_one_thread)
        self._device = threading.Lock()

    def __len__(self) -> int:
        """How many are held in memory."""
        return len(self._held)

    async def open(
        self,
        case_key: str,
        user: str,
        structure: str,
        *,
        set_id: int | None = None,
        box: Drawn | None = None,
        begin: str = "guess",
        model: str | None = None,
    ) -> Session:
        """Begin a session on an image of the archive, or go on with the one that this person has on it.

        Raises ArchiveError for a key that is not in the archive; what is wrong with box, begin or model as the class says.
        """
        checked_begin(begin)
        async with self._opening.setdefault((user, case_key), asyncio.Lock()):
            image = await asyncio.to_thread(self.images.get, case_key)
            known = await asyncio.to_thread(self.saved.of, user, case_key)
            for row in known:
                if all(one["accepted"] for one in row.data["objects"]):
                    await self.drop(row.id)
                    continue
                try:
                    session = await self.get(row.id, user)
                except CasewiseError:  # its image or its model has gone: what is left of it stays, and another one begins
                    continue
                session.set_id = session.set_id if set_id is None else set_id
                number = session.number_of(structure)
                if number is not None:
                    await self.select(session.id, user, number)
                    if box is not None:
                        await self.box(session.id, user, box, number=number)
                else:
                    await self._begun(session, user, structure, box, begin, model)
                return session
            session = await asyncio.to_thread(self._new, user, image, case_key, set_id, model)
            await self._begun(session, user, structure, box, begin, model)
            self._hold(session)
            return session

    async def open_image(self, image: Image, user: str, structure: str, *, sent: str | None = None) -> Session:
        """Begin a session on an image that a client sent; it is kept beside the archive, and taken in when it is accepted.

        sent : what the client calls it in later calls, also of another server on this archive.
        """
        session = await asyncio.to_thread(self._new, user, image, None, None, None)
        session.sent = sent
        try:
            await asyncio.to_thread(self.saved.write_image, session)
            await self._begun(session, user, structure, None, "empty", None)
        except Exception:  # nobody learns of it, and nobody could end it
            await self.drop(session.id)
            raise
        self._hold(session)
        return session

    async def get(self, identity: str, user: str) -> Session:
        """A session of this person; one that is on disk alone is resumed, at the cost of its rounds."""
        session = self._held.get(identity)
        if session is None:
            async with self._opening.setdefault((user, identity), asyncio.Lock()):
                session = self._held.get(identity) or await self._resumed(identity, user)
        if session.user != user or session.closed:
            raise UnknownSessionError.of(identity, user)
        self._held.move_to_end(identity)
        session.seen = time.time()
        return session

    async def strokes(
        self,
        identity: str,
        user: str,
        foreground: Points,
        background: Points,
        *,
        number: int | None = None,
        after: int | None = None,
        count: int = 1,
        seconds: float = 0,
    ) -> Answered:
        """Mark voxels, (n, axes) each. Strokes that wait for the same round are answered by one; none is dropped."""
        from casewise.interaction.strokes import Strokes

        session = await self.get(identity, user)
        given = await asyncio.to_thread(Strokes.given, session.image, foreground, background)
        at = session.meant(number, after)
        return await self._ordered(session, at, session.drawings[at].version, seconds, strokes=given, count=count)

    async def box(self, identity: str, user: str, box: Drawn, **known: Unpack[Known]) -> Answered:
        """Draw the object's box; an object that has begun begins anew, which can be undone."""
        return await self._step(identity, user, lambda drawing: drawing.begin(box), **known)

    async def begin(self, identity: str, user: str, mask: Mask, *, hint: bool = False, seconds: float = 0) -> Answered:
        """Begin the current object from a mask (*spatial) that a client has; as a ``hint`` it only leads the first answer."""
        return await self._step(identity, user, lambda drawing: drawing.begin(None, mask, hint), seconds=seconds)

    async def erase(self, identity: str, user: str, voxels: Points, **known: Unpack[Known]) -> Answered:
        """Take back what strokes marked at voxels (n, axes); the rounds are done again without it."""
        return await self._step(identity, user, lambda drawing: drawing.erase(voxels), **known)

    async def undo(self, identity: str, user: str, **known: Unpack[Known]) -> Answered:
        return await self._step(identity, user, Drawing.undo, **known)

    async def redo(self, identity: str, user: str, **known: Unpack[Known]) -> Answered:
        return await self._step(identity, user, Drawing.redo, **known)

    async def grow(self, identity: str, user: str, **known: Unpack[Known]) -> Answered:
        """Follow the object from its one slice through the volume."""
        return await self._step(identity, user, Drawing.grow, **known)

    async def add_object(
        self, identity: str, user: str, structure: str, *, box: Drawn | None = None, begin: str = "empty", model: str | None = None
    ) -> Session:
        """Begin another structure in the same image and make it current; one that the session has is made current."""
        session = await self.get(identity, user)
        number = session.number_of(structure)
        if number is not None:
            return await self.select(identity, user, number)
        await self._begun(session, user, structure, box, begin, model)
        return session

    async def select(self, identity: str, user: str, number: int) -> Session:
        """Make the object ``number`` (from 0) current."""
        session = await self.get(identity, user)
        if not 0 <= number < len(session.drawings):
            session.select(number)
        await self._do(session, number, session.drawings[number].version, lambda s: s.select(number))
        return session

    async def arrived(self, identity: str, user: str) -> Session:
        """The session as it stands; an object that waits for a guess begins from it, once that is there."""
        session = await self.get(identity, user)
        if session.seen - session.noted > _NOTED:
            session.noted = session.seen
            await asyncio.to_thread(self.saved.seen, session)
        for number, drawing in enumerate(session.drawings):
            if drawing.awaits_guess and drawing.outline is None:
                await self._do(session, number, drawing.version, partial(self._arrived, number))
        return session

    async def accept(
        self,
        identity: str,
        user: str,
        *,
        number: int | None = None,
        seen: Sequence[int] | None = None,
        seconds: float = 0,
        force: bool = False,
    ) -> Acceptance:
        """Keep the masks of all objects that have one in the archive, with what they cost.

        number : of the object that the seconds were spent on. seen : the versions of all objects that the person saw, by number;
        where any is another now, nothing is kept. force : also empty masks.
        """
        session = await self.get(identity, user)
        at = session.meant(number, None)
        kept: list[Acceptance] = []

        def action(of: Session) -> Drawing:
            if seen is not None:
                of.check_seen(at, seen)
            of.drawings[at].seconds += seconds
            kept.append(accept(self.archive, of, force, self.on_accept))
            return of.drawings[at]

        await self._do(session, at, session.drawings[at].version, action)
        return kept[0]

    async def close(self, identity: str, user: str) -> None:
        """End a session, also one whose files are damaged; what was not accepted is gone."""
        row = await asyncio.to_thread(self.saved.row, identity)
        if row is None or row.user != user:
            raise UnknownSessionError.of(identity, user)
        await self.drop(identity)

    async def drop(self, identity: str) -> None:
        """As :meth:`close`, whoever's it is."""
        session = self._held.pop(identity, None)
        if session is not None:
            session.closed = True
            if session.task is not None and not session.task.done():
                await asyncio.wait([session.task])
        await asyncio.to_thread(self.saved.remove, identity)

    def warm(self) -> None:
        """Load what a first round needs; called from a thread while the first pages are answered."""
        _one_thread()
        for dims in (2, 3):
            self.networks.warm(dims)

    def close_all(self) -> None:
        """Wait for the running rounds; what was done is on disk."""
        self._pool.shutdown()

    def _arrived(self, number: int, session: Session) -> Drawing:
        self._beginning.arrived(session.drawings[number], session.case_key)
        return session.drawings[number]

    async def _begun(self, session: Session, user: str, structure: str, box: Drawn | None, begin: str, model: str | None) -> None:
        started = checked_begin(begin)

        def action(of: Session) -> Drawing:
            key = of.case_key
            made = self._beginning.drawing(of.image, key, user, structure, box, started, model)
            others = [] if key is None else self.saved.others(user, key, structure, time.time() - LEASE)
            if others:
                verb = "outlines" if len(others) == 1 else "outline"
                made.reason += f" {' and '.join(others)} {verb} it here too; each mask is kept."
            of.drawings.append(made)
            of.current = len(of.drawings) - 1
            return made

        await self._do(session, len(session.drawings), 0, action)

    async def _step(self, identity: str, user: str, action: Callable[[Drawing], object], **known: Unpack[Known]) -> Answered:
        session = await self.get(identity, user)
        at = session.meant(known.get("number"), known.get("after"))

        def done(of: Session) -> Drawing:
            action(of.drawings[at])
            return of.drawings[at]

        return await self._ordered(session, at, session.drawings[at].version, known.get("seconds", 0), action=done)

    async def _do(self, session: Session, number: int, version: int, action: Callable[[Session], Drawing]) -> Answered:
        return await self._ordered(session, number, version, 0, action=action)

    async def _ordered(
        self,
        session: Session,
        number: int,
        version: int,
        seconds: float,
        *,
        action: Callable[[Session], Drawing] | None = None,
        strokes: object = None,
        count: int = 1,
    ) -> Answered:
        """Queue an order and wait for its answer; it is done even where nobody waits any more."""
        if session.closed:
            raise UnknownSessionError(f"The session {session.id} has been closed; begin one on an image.")
        # It may have been given up, and resumed for somebody else's call, while this call was on its way.
        session = self._held.setdefault(session.id, session)
        loop = asyncio.get_running_loop()
        order = Order(number, version, seconds, loop.create_future(), action, strokes, count)  # type: ignore[arg-type]
        session.waiting.append(order)
        session.acted = time.time()
        if session.task is None or session.task.done():
            session.task = loop.create_task(self._work(session))
        answered = await asyncio.shield(order.answer)
        self._make_room(session)
        return answered

    async def _work(self, session: Session) -> None:
        while session.waiting:
            orders = next_orders(session.waiting)
            try:
                answers = await self._run(partial(self._performed, session, orders))
            except Exception as error:  # whatever it is belongs to those who asked
                for order in orders:
                    if not order.answer.done():
                        order.answer.set_exception(error)
                continue
            for order, answer in zip(orders, answers, strict=True):
                if not order.answer.done():
                    order.answer.set_result(answer)

    def _performed(self, session: Session, orders: Sequence[Order]) -> list[Answered]:
        began = time.perf_counter()
        with self._device if resolve_device("auto") != "cpu" else nullcontext():
            answers = perform(session, orders)
        if not session.closed:
            self.saved.write(session, answers[0].number)
        session.bytes = sum(one.outline.bytes for one in session.drawings if one.outline is not None)
        taken = time.perf_counter() - began
        if self.on_round is not None and orders[0].strokes is not None:
            self.on_round(taken)
        return [replace(answer, seconds=taken) for answer in answers]

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _new(self, user: str, image: Image, key: str | None, set_id: int | None, model: str | None) -> Session:
        now = time.time()
        chosen = self.networks.chosen(image, model)
        return Session(secrets.token_hex(16), user, image, key, chosen, set_id, created=now, seen=now, acted=now)

    async def _resumed(self, identity: str, user: str) -> Session:
        row = await asyncio.to_thread(self.saved.row, identity)
        if row is None or row.user != user:
            raise UnknownSessionError.of(identity, user)
        key = row.image_key or None
        read = partial(self.images.get, key) if key is not None else partial(self.saved.image, identity)
        image = await asyncio.to_thread(read)
        model = await asyncio.to_thread(self.networks.of_key, row.data["model"])
        session = Session(
            identity, user, image, key, model, row.data["set"], created=row.created, seen=row.seen, acted=row.data["acted"]
        )
        session.sent = row.data.get("sent")
        await self._run(partial(filled, session, row.data, self.saved.place(identity), self.networks.of_key))
        if identity not in self._held:
            self._hold(session)
        return self._held[identity]

    def _hold(self, session: Session) -> None:
        self._held[session.id] = session
        self._make_room(session)

    def _make_room(self, session: Session) -> None:
        """Give up sessions that nobody has used for long or that are too much, the least recently used first; they are on disk."""
        now = time.time()
        for old in list(self._held.values()):
            too_much = len(self._held) > self.settings.sessions or held_bytes(self._held.values()) > self.settings.session_bytes
            if old is not session and not old.busy and (too_much or now - old.acted > _IDLE):
                del self._held[old.id]


def _one_thread() -> None:
    """Rounds of several people share the cores; each takes one. It holds for the whole process."""
    import torch

    torch.set_num_threads(1)
