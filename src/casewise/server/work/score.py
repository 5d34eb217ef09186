"""How doubtful each accepted mask of a set is: 1 − its Dice with what the accepted masks most like it predict (leave one out)."""

from __future__ import annotations

from casewise.errors import CasewiseError
from casewise.server.work.context import Work
from casewise.server.work.set_cases import SetCases


def run(work: Work) -> dict[str, object]:
    """payload: ``set``, its number. Looked at are masks that were not yet, or when there were too few others."""
    from casewise.interaction.sets.leave_one_out import ENOUGH, leave_one_out

    cases = SetCases.of(work.archive, work.store, int(work.payload["set"]))
    there = cases.count
    rows = cases.images(work.store, "accepted")
    due = [row for row in rows if row.doubt is None or (row.measured or 0) < min(ENOUGH + 1, there)]
    held = cases.held({row.image_key for row in due})
    due = [row for row in due if row.image_key in held]
    scored = 0
    for number, row in enumerate(due):
        work.progress("Comparing masks", number, len(due))
        work.give_way()
        others = cases.most_alike(row.image_key, ENOUGH)
        if not others:
            continue
        try:
            found = leave_one_out(held[row.image_key], others, cases.row.structure)
        except CasewiseError:  # its file or that of another has gone: nothing is known of it
            continue
        scored += cases.keep(work.store, row, doubt=round(1 - found.agreement, 4), measured=there)
    return {"set": cases.row.id, "scored": scored}
