"""What becomes of a session's masks when the person accepts them: they go into the archive, and what they cost is noted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.server.label_names import names_for
from casewise.server.sessions.drawing import Drawing
from casewise.server.sessions.session import Session


class Noted(Protocol):
    """Records what each accepted mask cost; ``counted``: what of it (strokes, seconds) was recorded before."""

    def __call__(
        self,
        key: str,
        structure: str,
        person: str,
        *,
        strokes: int,
        seconds: float,
        set_id: int | None = None,
        counted: tuple[int, float] | None = None,
    ) -> None: ...


@dataclass(frozen=True)
class Acceptance:
    """key : of the image. labels : the names under which its masks were kept. set_id : of the set that it was outlined for."""

    key: str
    labels: tuple[str, ...]
    set_id: int | None


def accept(archive: Archive, session: Session, force: bool, noted: Noted | None = None) -> Acceptance:
    """Keep every object that has a mask, or with ``force`` every one that has begun. Raises UsageError where there is none."""
    chosen = [drawing for drawing in session.drawings if drawing.outline is not None and (drawing.part is not None or force)]
    if not chosen:
        msg = "No object has a mask yet; draw a box or a stroke first, or skip the image."
        raise UsageError(msg)
    names = []
    for drawing in chosen:
        session.case_key = session.case_key or archive.add(session.image)
        names += _kept(archive, session.case_key, session, drawing)
        drawing.accepted = True
        if noted is not None:
            noted(
                session.case_key,
                drawing.structure,
                session.user,
                strokes=drawing.strokes,
                seconds=round(drawing.seconds, 1),
                set_id=session.set_id,
                counted=drawing.counted,
            )
            drawing.counted = (drawing.strokes, round(drawing.seconds, 1))
    return Acceptance(str(session.case_key), tuple(names), session.set_id)


def _kept(archive: Archive, key: str, session: Session, drawing: Drawing) -> list[str]:
    """The names under which an object's mask is kept."""
    from casewise.interaction.sets.guidance import origin_of

    if drawing.outline is None:
        raise UsageError("Nothing has been marked in this object yet; draw a box or a stroke first.")
    origin = {
        **origin_of(drawing.outline, drawing.similar),
        "user": session.user,
        "strokes": drawing.strokes,
        "seconds": round(drawing.seconds, 1),
    }
    return archive.add_masks(key, session.image, {drawing.structure: drawing.mask}, origin=origin, names=names_for(session.user))
