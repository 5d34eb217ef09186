"""One object of a client: its prompts become rounds of an interactive session, and undo takes back the last prompt exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from casewise.errors import UsageError
from casewise.image import Box, Image
from casewise.server.compat.nninteractive.prompts import Prompt
from casewise.server.compat.nninteractive.space import Space
from casewise.server.masks import Part
from casewise.server.sessions import Session, Sessions

Mask = npt.NDArray[np.bool_]
STRUCTURE = "nninteractive"  # of the sessions, which hold one object that the client names itself


@dataclass(frozen=True, eq=False)
class Step:
    """What can be undone. session, steps : where the object stood before; None and 0 where nothing had begun."""

    prompts: tuple[Prompt, ...]
    session: str | None
    steps: int


@dataclass(eq=False)
class Outline:
    """The object that a client outlines in ``image``.

    deep : whether what is drawn in one slice of a volume is about an object that reaches through the slices (the client's
    auto-zoom).
    sent : the mask that the client has.
    """

    sessions: Sessions
    user: str
    image: Image
    space: Space
    deep: bool = True
    sent: Part | None = None
    _session: str | None = None
    _steps: list[Step] = field(default_factory=list)
    _waiting: list[Prompt] = field(default_factory=list)

    async def add(self, prompt: Prompt, run: bool) -> Part | None:
        """Take a prompt; returns the part of the mask that changed, None where nothing did or the prompt waits for the others."""
        self._waiting.append(prompt)
        try:
            return await self.predict() if run else None
        except Exception:
            self._waiting.clear()
            raise

    async def predict(self) -> Part | None:
        """Answer the prompts that wait."""
        if not self._waiting:
            return None
        prompts, held = tuple(self._waiting), self._session
        steps = 0 if held is None else (await self._held(held)).round
        try:
            for prompt in prompts:
                await self._marked(prompt)
        except Exception:
            await self._back(held, steps)
            raise
        self._waiting.clear()
        self._steps.append(Step(prompts, held, steps))
        return await self._changed()

    async def undo(self) -> tuple[bool, Part | None]:
        """(whether anything was undone, the part of the mask that changed)."""
        if self._waiting:
            self._waiting.pop()
            return True, None
        if not self._steps:
            return False, None
        step = self._steps.pop()
        await self._back(step.session, step.steps)
        self._waiting = list(step.prompts[:-1])
        return True, await self._changed()

    async def reset(self) -> None:
        """Forget the object; the next prompt begins another one."""
        await self.close()
        self.sent = None

    async def begin(self, mask: Mask, run: bool) -> Part | None:
        """Go on from a mask (*spatial) that the client has: as it is, or with ``run`` as a guess that leads the first answer."""
        if not mask.any():
            raise UsageError(
                "The segmentation to begin from has no voxel; mark the object with a box, a point or a stroke instead."
            )
        await self.close()
        session = await self.sessions.open_image(self.image, self.user, STRUCTURE)
        self._session = session.id
        await self.sessions.begin(session.id, self.user, mask, hint=run)
        self.sent = Part.of(mask)
        return await self._changed() if run else None

    @property
    def depth(self) -> tuple[float, ...] | None:
        """The spacing of the image's axes where prompts in one slice reach through the slices; else None."""
        return self.image.spacing if self.deep else None

    async def close(self) -> None:
        """End the session; its memory and its files are freed."""
        self._steps.clear()
        self._waiting.clear()
        if self._session is not None:
            await self.sessions.close(self._session, self.user)
            self._session = None

    async def _marked(self, prompt: Prompt) -> None:
        session = None if self._session is None else await self._held(self._session)
        if session is None:
            session = await self.sessions.open_image(self.image, self.user, STRUCTURE)
            self._session = session.id
        begun = session.drawing.outline is not None
        if not begun and prompt.box is not None:
            await self.sessions.box(session.id, self.user, prompt.box)
        await self._strokes(session, prompt.later if begun else prompt.first)

    async def _strokes(self, session: Session, strokes: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> None:
        foreground, background = strokes
        if len(foreground) or len(background):
            await self.sessions.strokes(session.id, self.user, foreground, background)

    async def _back(self, held: str | None, steps: int) -> None:
        """Take back what was done since the object stood at ``steps`` of the session ``held``."""
        if held is None:
            now, self._session = self._session, None
            if now is not None:
                await self.sessions.close(now, self.user)
            return
        while (await self._held(held)).round > steps:
            await self.sessions.undo(held, self.user)

    async def _held(self, identity: str) -> Session:
        return await self.sessions.get(identity, self.user)

    async def _changed(self) -> Part | None:
        """What of the mask the client does not have yet."""
        now = None if self._session is None else (await self._held(self._session)).drawing.part
        before, self.sent = self.sent, now
        return _difference(before, now)


def _difference(before: Part | None, after: Part | None) -> Part | None:
    """``after`` in the smallest box that holds every voxel in which the two differ; None where they are the same."""
    boxes = [part.box for part in (before, after) if part is not None]
    if not boxes:
        return None
    lower = [min(sides) for sides in zip(*(box.lower for box in boxes), strict=True)]
    upper = [max(sides) for sides in zip(*(box.upper for box in boxes), strict=True)]
    masks = [np.zeros([high - low for low, high in zip(lower, upper, strict=True)], bool) for _ in range(2)]
    for mask, part in zip(masks, (before, after), strict=True):
        if part is not None:
            mask[
                tuple(
                    slice(low - start, high - start) for low, high, start in zip(part.box.lower, part.box.upper, lower, strict=True)
                )
            ] = part.bits
    box = Box.around(masks[0] ^ masks[1])
    if box is None:
        return None
    places = [(start + low, start + high) for start, low, high in zip(lower, box.lower, box.upper, strict=True)]
    return Part(Box(tuple(low for low, _ in places), tuple(high for _, high in places)), masks[1][box.slices])
