"""Rules: where their conditions hold, they change what happens to an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from casewise.applications.conditions import Condition
from casewise.applications.decision import Decision
from casewise.errors import UsageError
from casewise.exchange.settings import Kind

OBJECTS: tuple[str, ...] = get_args(Kind)
ADAPT = ("none", "similar", "subset")  # as casewise.adaptation.adapter, which this file is too light to import
_LOWEST, _HIGHEST = -10, 10
_ACTIONS = ("add", "remove", "model", "adapt", "send", "priority", "skip")


@dataclass(frozen=True)
class Rule:
    """Where every condition holds, its actions are taken; of ``model``, ``adapt``, ``priority`` and ``skip`` the last such rule's.

    add, remove : applications that join those of the route, or leave them. model : a model's name, or ``none`` for the applications
    alone. adapt : ``none``, ``similar``, ``subset``. send : systems that results go to, which add up over rules; () is nowhere.
    objects : what is sent to them. priority : of the analysis. skip : nothing is analysed. origin : where it is declared.
    """

    when: tuple[Condition, ...] = ()
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    model: str | None = None
    adapt: str | None = None
    send: tuple[str, ...] | None = None
    objects: tuple[str, ...] | None = None
    priority: int | None = None
    skip: bool | None = None
    name: str = ""
    origin: str = "code"

    def __post_init__(self) -> None:
        if self.objects is not None and not self.send:
            raise UsageError("objects goes with send, which says where they are sent.")
        if not (self.add or self.remove) and all(getattr(self, key) is None for key in _ACTIONS[2:]):
            raise UsageError(f'A rule needs one of {", ".join(_ACTIONS)}, such as add = ["nodules"].')
        if self.adapt is not None and self.adapt not in ADAPT:
            raise UsageError(f"adapt = {self.adapt!r} is not known; it is one of {', '.join(ADAPT)}.")
        if self.model is not None and not self.model.strip():
            raise UsageError("model = '' names none; give a model's name, or \"none\" for the applications alone.")
        if self.priority is not None and not _LOWEST <= self.priority <= _HIGHEST:
            raise UsageError(f"priority = {self.priority} is not allowed; it is a whole number from {_LOWEST} to {_HIGHEST}.")
        if self.objects is not None and (not self.objects or not set(self.objects) <= set(OBJECTS)):
            raise UsageError(f"objects = {list(self.objects)!r} is not allowed; it is a list of {', '.join(OBJECTS)}.")

    @property
    def of_route(self) -> bool:
        """Whether it needs to know what kind of image it is."""
        return any(condition.of_route for condition in self.when)

    @property
    def label(self) -> str:
        return self.name or self.origin

    def holds(self, facts: Mapping[str, object]) -> bool:
        return all(condition.holds(facts) for condition in self.when)

    def applied(self, decision: Decision) -> Decision:
        """The decision after this rule, whose conditions hold. Applications that it adds come last, none twice."""
        names = dict.fromkeys(name for name in (*decision.applications, *self.add) if name not in self.remove)
        return replace(
            decision,
            applications=tuple(names),
            model=decision.model if self.model is None else self.model,
            adapt=decision.adapt if self.adapt is None else self.adapt,
            send=decision.send if self.send is None else decision.sent_to(self.send, self.objects),
            priority=decision.priority if self.priority is None else self.priority,
            skip=decision.skip if self.skip is None else self.skip,
            why=(*decision.why, self.label),
        )


def decided(rules: Iterable[Rule], names: Sequence[str], facts: Mapping[str, object]) -> Decision:
    """What becomes of an image whose category brings the applications ``names``, and of which ``facts`` are known."""
    decision = Decision(tuple(names))
    for rule in rules:
        if rule.holds(facts):
            decision = rule.applied(decision)
    if decision.skip:
        return Decision(send=(), priority=decision.priority, skip=True, why=decision.why)
    return decision


def needed(rules: Iterable[Rule]) -> frozenset[str]:
    """The facts that rules need of an image's own file (:func:`casewise.applications.conditions.facts_of`)."""
    return frozenset(name for rule in rules for condition in rule.when for name in condition.of_file)


def priority_before(rules: Iterable[Rule], facts: Mapping[str, object]) -> int | None:
    """The priority of an image before it is known what kind it is: that of the last rule that holds without it; None of none."""
    given = [rule.priority for rule in rules if rule.priority is not None and not rule.of_route and rule.holds(facts)]
    return given[-1] if given else None
