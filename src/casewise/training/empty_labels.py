"""Whether a structure is drawn anywhere in the cases to learn from: masks may all be empty, and then there is nothing to learn."""

from __future__ import annotations

from collections.abc import Sequence

from casewise.case import Case, Structure
from casewise.errors import CasewiseError
from casewise.training.split import split

_TRIES = 8


def split_with_drawn(cases: Sequence[Case], structures: Sequence[Structure], seed: int) -> tuple[list[Case], list[Case]]:
    """(training, validation) as :func:`casewise.training.split.split` parts them, each structure drawn in some training case.

    Where chance puts every case that shows a structure on one side, the next seeds are tried, so that validation measures something
    too; where none of them serves, nothing is held out. Masks are read until one that is not empty is met.

    Structures that no case has a mask of are left aside. Raises CasewiseError where all masks of a structure are empty.
    """
    drawn = _Drawn()
    structures = [structure for structure in structures if any(case.has(structure) for case in cases)]
    empty = [structure for structure in structures if not drawn.anywhere(cases, structure)]
    if empty:
        count = sum(case.has(empty[0]) for case in cases)
        names = ", ".join(str(structure) for structure in empty)
        msg = (
            f"All masks of {names} are empty ({count} of {len(cases)} cases have one): there is nothing to learn. "
            "Import cases in which the structure is drawn, or leave it out."
        )
        raise CasewiseError(msg)
    for number in range(_TRIES):
        training, validation = split(cases, seed=seed + number)
        taught = all(drawn.anywhere(training, structure) for structure in structures)
        if taught and (not validation or any(drawn.anywhere(validation, structure) for structure in structures)):
            return training, validation
    return list(cases), []


class _Drawn:
    """Remembers of each case and structure whether its mask holds anything."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Structure], bool] = {}

    def anywhere(self, cases: Sequence[Case], structure: Structure) -> bool:
        return any(self._in(case, structure) for case in cases)

    def _in(self, case: Case, structure: Structure) -> bool:
        known = self._known.get((case.key, structure))
        if known is None:
            known = any(bool(case.load_masks[part]().any()) for part in structure.parts if part in case.load_masks)
            self._known[case.key, structure] = known
        return known
