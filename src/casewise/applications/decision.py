"""What rules decide about an image: who looks at it, with which model, and where the results go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Delivery:
    """A system that results are sent to. objects : ``seg``, ``sr``, ``capture``, ``map``; None: those of its kind of image."""

    target: str
    objects: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, object]:
        return {"target": self.target, "objects": None if self.objects is None else list(self.objects)}


@dataclass(frozen=True)
class Decision:
    """What came of an image's category and of the rules that held.

    applications : names, in their order. model, adapt : as of :func:`casewise.analyze`; ``model`` may be ``none``; None where no
    rule names one. send : where the results go; None where no rule says, () where a rule says nowhere. skip : nothing is analysed.
    why : the rules that held, by their names, in their order.
    """

    applications: tuple[str, ...] = ()
    model: str | None = None
    adapt: str | None = None
    send: tuple[Delivery, ...] | None = None
    priority: int = 0
    skip: bool = False
    why: tuple[str, ...] = ()

    def sent_to(self, targets: Sequence[str], objects: tuple[str, ...] | None) -> tuple[Delivery, ...]:
        """``send`` with further targets; one that is there already gets the later ``objects``."""
        known = {one.target: one for one in self.send or ()} | {target: Delivery(target, objects) for target in targets}
        return tuple(known.values())

    @property
    def sentence(self) -> str:
        """Which rules held; empty where none did."""
        return f"Rules that held: {'; '.join(self.why)}." if self.why else ""

    def to_json(self) -> dict[str, object]:
        return {
            "applications": list(self.applications),
            "model": self.model,
            "adapt": self.adapt,
            "send": None if self.send is None else [one.to_json() for one in self.send],
            "priority": self.priority,
            "skip": self.skip,
            "why": list(self.why),
        }
