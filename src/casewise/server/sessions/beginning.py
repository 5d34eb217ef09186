"""How an object begins: from what the accepted cases give, from the image's own mask, from a box, or from nothing yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from casewise.archive import Archive, Selection
from casewise.case import Structure
from casewise.errors import UsageError
from casewise.image import Box, Image
from casewise.server import prepared
from casewise.server.jobs import Jobs
from casewise.server.label_names import check_structure, seen_by
from casewise.server.masks import Mask
from casewise.server.networks import Networks
from casewise.server.sessions.drawing import Drawing

if TYPE_CHECKING:
    from casewise.interaction.sets.guidance import Prepared

Begin = Literal["guess", "mask", "empty"]
BEGINS: tuple[Begin, ...] = ("guess", "mask", "empty")
_EMPTY = "Draw a box around the {structure}, or a stroke on it."


@dataclass(frozen=True, eq=False)
class Beginning:
    """Begins objects of one archive's images."""

    archive: Archive
    networks: Networks
    jobs: Jobs

    def drawing(
        self,
        image: Image,
        key: str | None,
        user: str,
        structure: str,
        box: Box | Sequence[Sequence[int]] | None,
        begin: Begin,
        model: str | None,
    ) -> Drawing:
        """An object that has begun as asked, as far as it can. Raises UsageError, ModelError."""
        check_structure(structure)
        made = Drawing(structure, self.networks.chosen(image, model), image, reason=_EMPTY.format(structure=structure))
        if begin == "mask":
            self._mask(made, key, user, box)
        elif begin == "guess" and key is not None:
            self._guess(made, key, box)
        if box is not None and made.outline is None:
            made.begin(box)
            made.reason = "The box alone began."
        return made

    def arrived(self, drawing: Drawing, key: str | None) -> bool:
        """Begin an object from a guess that was prepared since it was opened; False where there is none, or it has begun."""
        if not drawing.awaits_guess or key is None or drawing.outline is not None:
            return False
        guess = prepared.load(self.archive, key, drawing.structure, drawing.model)
        if guess is not None:
            self._from(drawing, guess, None)
        return guess is not None

    def _mask(self, drawing: Drawing, key: str | None, user: str, box: Box | Sequence[Sequence[int]] | None) -> None:
        held = None if key is None else own_mask(self.archive, key, user, drawing.structure)
        if held is None or not held.any():
            drawing.reason = f"The image has no mask of {drawing.structure} yet. {drawing.reason}"
            return
        drawing.begin(box, held)
        drawing.reason = f"The image's own mask of {drawing.structure} began."

    def _guess(self, drawing: Drawing, key: str, box: Box | Sequence[Sequence[int]] | None) -> None:
        guess = prepared.load(self.archive, key, drawing.structure, drawing.model)
        if guess is not None:
            self._from(drawing, guess, box)
            return
        others = Selection(structures=(Structure.parse(drawing.structure),), exclude=frozenset({key}))
        accepted = self.archive.count(others)
        if not accepted:
            drawing.reason = f"The archive has no mask of {drawing.structure} yet. {drawing.reason}"
            return
        count = "1 accepted case" if accepted == 1 else f"{accepted} accepted cases"
        order = {"case": key, "structure": drawing.structure}
        self.jobs.add("prepare", order, unique_key=f"prepare:{drawing.structure}:{key}", priority=5)
        drawing.awaits_guess = box is None
        drawing.reason = f"A guess from {count} is being prepared. {drawing.reason}"

    def _from(self, drawing: Drawing, guess: Prepared, box: Box | Sequence[Sequence[int]] | None) -> None:
        drawing.initial, drawing.model = drawing.model, self.networks.known(guess.model)
        drawing.awaits_guess = False
        drawing.reason, drawing.similar = guess.reason, tuple(case.key for case in guess.cases)
        where = box if box is not None else guess.box(drawing.image)
        if where is not None:
            drawing.begin(where, guess.guess, hint=guess.guess is not None)


def own_mask(archive: Archive, key: str, user: str, structure: str) -> Mask | None:
    """(*spatial) bool: the person's own mask of a structure, else the image's; None where there is neither."""
    name = seen_by(archive, key, user).get(structure, structure)
    loaders = archive.case(key).load_masks
    return loaders[name]() if name in loaders else None


def checked_begin(begin: str) -> Begin:
    for one in BEGINS:
        if begin == one:
            return one
    raise UsageError(f"A session begins from {', '.join(BEGINS)}; got {begin!r}.")
