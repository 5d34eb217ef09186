"""How images are predicted: with which model, adapted how, and compared with which cases. Rules may ask for several in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from casewise.adaptation.adapter import Adapter
from casewise.adaptation.refinement import Plan
from casewise.adaptation.regions import RegionAdapter
from casewise.models import Model
from casewise.models.shipped import encoder_for
from casewise.progress import Progress

if TYPE_CHECKING:
    from casewise.applications.decision import Decision
    from casewise.archive import Archive
    from casewise.routing.examples import Examples


@dataclass(frozen=True, eq=False)
class Chosen:
    """model : None for the route's applications alone. adapt : ``none``, ``similar`` or ``subset``. regions : the model of a chest
    radiograph's regions that is to be refined for each film; None: the shipped one as it is.
    """

    model: Model | None = None
    adapt: str = "none"
    regions: Model | None = None


# What a rule asks for, by names (None where it does not say). Raises CasewiseError, one sentence, for what is not there.
Choose = Callable[[str | None, str | None], Chosen]


@dataclass(frozen=True, eq=False)
class Way:
    """adapter : None without a model. regions : refines a chest's regions. examples : finds the archive's cases of a category."""

    adapter: Adapter | None = None
    regions: RegionAdapter | None = None
    examples: Examples | None = None


class Ways:
    """Each is made once, when the first image needs it.

    first : where no rule says. choose : what rules ask for; None: rules change nothing. with_examples : whether examples are
    looked for in the archive. The others: as of :class:`casewise.pipeline.analyzer.Analyzer`.
    """

    def __init__(
        self,
        first: Chosen,
        archive: Archive | None,
        plan: Plan,
        device: str,
        region: str | None,
        progress: Progress,
        *,
        with_examples: bool,
        choose: Choose | None = None,
    ) -> None:
        self._archive, self._plan, self._device, self._region, self._progress = archive, plan, device, region, progress
        self._with_examples, self._choose = with_examples, choose
        self.first = self._made(first)
        self._known: dict[tuple[str | None, str | None], Way] = {(None, None): self.first}

    def of(self, decision: Decision) -> Way:
        """Raises CasewiseError, one sentence, where a rule names what is not there."""
        asked = (decision.model, decision.adapt)
        if self._choose is None:
            return self.first
        if asked not in self._known:
            self._known[asked] = self._made(self._choose(*asked))
        return self._known[asked]

    def _made(self, chosen: Chosen) -> Way:
        adapter = regions = None
        if chosen.model is not None:
            adapter = Adapter(chosen.model, self._archive, chosen.adapt, self._plan, self._device, self._region, self._progress)
        if chosen.regions is not None and self._archive is not None:
            regions = RegionAdapter(chosen.regions, self._archive, self._plan, self._device, self._progress)
        examples = self._examples(self._archive, adapter) if self._archive is not None and self._with_examples else None
        return Way(adapter, regions, examples)

    def _examples(self, archive: Archive, adapter: Adapter | None) -> Examples:
        """Compares by the model's own vectors, as the search for similar cases does; without a model by the shipped encoder's."""
        from casewise.chest.upright import UprightEncoder
        from casewise.models.shipped.waiting import WaitingEncoder
        from casewise.routing.examples import Examples

        encoder = encoder_for(adapter.model, self._device) if adapter else WaitingEncoder(self._device)
        return Examples(archive, UprightEncoder(encoder, self._device), self._progress)
