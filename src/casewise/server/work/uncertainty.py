"""How far the accepted masks of a set disagree about images that wait; see :mod:`casewise.server.strategies`."""

from __future__ import annotations

from casewise.errors import CasewiseError
from casewise.server.strategies import shuffled
from casewise.server.work.context import Work
from casewise.server.work.set_cases import SetCases

_LOOKED_AT = 12  # images a job, those first that were not looked at yet, then those looked at longest ago
_COMMITTEE = 8  # accepted masks
_FEWEST = 2  # one mask agrees with itself


def run(work: Work) -> dict[str, object]:
    """payload: ``set``, its number."""
    from casewise.interaction.sets.guidance import fused_labels

    cases = SetCases.of(work.archive, work.store, int(work.payload["set"]))
    waiting = {row.image_key: row for row in cases.images(work.store, "waiting")}
    order = sorted(shuffled(waiting, cases.row.id), key=lambda key: waiting[key].measured or 0)
    measured = 0
    for number, key in enumerate(order[:_LOOKED_AT]):
        work.progress("Comparing labels", number, min(len(order), _LOOKED_AT))
        work.give_way()
        committee = cases.most_alike(key, _COMMITTEE)
        if len(committee) < _FEWEST:
            continue
        try:
            fused = fused_labels(work.archive.case(key).image, committee, cases.row.structure)
        except CasewiseError:  # its file or that of another has gone: nothing is known of it
            continue
        found = fused.prediction is not None and bool(fused.prediction.mask.any())
        uncertainty = round(1 - fused.agreement, 4) if found else 1.0
        measured += cases.keep(work.store, waiting[key], uncertainty=uncertainty, measured=cases.count)
    return {"set": cases.row.id, "measured": measured}
