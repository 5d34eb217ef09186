"""A model fitted to one image after another, by one way of adapting; each starts again from the same model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.adaptation import subsets
from casewise.adaptation.refinement import Plan
from casewise.adaptation.sequences import compared, said_of
from casewise.adaptation.similar import SimilarRefinement, Usable, refine
from casewise.case import Case
from casewise.chest.upright import UprightEncoder
from casewise.errors import ArchiveError, UsageError
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.prediction import Prediction
from casewise.models.shipped import encoder_for
from casewise.progress import Progress, silent
from casewise.result import ModelUse, SimilarCase

if TYPE_CHECKING:
    from casewise.adaptation.label_fusion import FusedLabels
    from casewise.archive import Archive, Selection
    from casewise.encoder import Encoder

ADAPT = ("none", "similar", "subset")
_OTHER_ENCODER = "{model} has no latent space that casewise knows: casewise's own encoder compared the similar cases."
DISPLAYED = 8  # similar cases in a report
Step = Callable[[str], AbstractContextManager[None]]  # called with a step's name, times what is done within


@dataclass(frozen=True)
class Adapted:
    """The model that answers for one image, where it came from, and the similar cases that were looked at."""

    use: ModelUse
    model: Model
    similar: Sequence[SimilarCase] = ()
    notes: tuple[str, ...] = ()
    fused: FusedLabels | None = None

    def predict(self, image: Image, device: str) -> Prediction:
        answer = self.model.predict(image, device)
        return self.fused.joined(answer) if self.fused is not None else answer


class Adapter:
    """adapt : ``none``, ``similar`` (refined for each image) or ``subset`` (the model of the subset most like the image).
    region : one of the model's structures; similar cases are then compared within it alone, as the model outlines it in the image.

    Raises UsageError for another way, for one that needs an archive where there is none, and for a region that the model does
    not outline or that would compare nothing.
    """

    def __init__(
        self,
        model: Model,
        archive: Archive | None,
        adapt: str,
        plan: Plan,
        device: str,
        region: str | None = None,
        progress: Progress = silent,
    ) -> None:
        if adapt not in ADAPT:
            msg = f"A model is adapted by one of {', '.join(ADAPT)}; got {adapt!r}."
            raise UsageError(msg)
        if adapt != "none" and archive is None:
            msg = f"Adapting by {adapt!r} needs an archive of labelled cases; name one with --archive, or choose --adapt none."
            raise UsageError(msg)
        if adapt != "none":
            model.check_trainable()
        if region is not None:
            _check_region(region, model, archive, adapt)
        self.model, self.archive, self.adapt, self.plan, self.device = model, archive, adapt, plan, device
        self.region, self._progress = region, progress

    def cases(self, keys: Collection[str]) -> dict[str, Case]:
        """Those of a few of the archive's cases that the model can learn from, by key."""
        return self._usable.cases(keys) if self._usable is not None else {}

    @cached_property
    def _usable(self) -> Usable | None:
        return Usable(self.model, self.archive) if self.archive is not None else None

    def _members(self, subset: subsets.Subset) -> Selection | None:
        return replace(self._usable.where, among=frozenset(subset.members)) if self._usable is not None else None

    def _names(self, subset: subsets.Subset) -> tuple[str, ...]:
        """Files of the cases that the subset's model was refined on."""
        members = self._members(subset)
        if self.archive is None or members is None or not subset.refined:
            return ()
        snapshot = self.archive.snapshot(members)
        return tuple(line.name for line in self.archive.lines(snapshot.ids[snapshot.places].tolist()))

    def fit(self, image: Image, step: Step) -> Adapted:
        """The model for ``image``; nothing of it reaches the next."""
        mask, notes = self._compared(image)
        fitted = self._fitted(image, step, mask)
        return replace(fitted, notes=(*fitted.notes, *notes, *self._passed_over()))

    def _passed_over(self) -> tuple[str, ...]:
        """A sentence where cases could not be compared. Without the reason, which may name a file as its patient."""
        from casewise.archive.retrieval.embedding import PASSED_OVER

        reasons = self.archive.without_vector(self._encoder) if self.archive is not None else {}
        return (f"{PASSED_OVER.format(count=len(reasons))}; `casewise similar` says why.",) if reasons else ()

    @cached_property
    def _encoder(self) -> Encoder:
        return UprightEncoder(encoder_for(self.model, self.device), self.device)

    def _fitted(self, image: Image, step: Step, mask: npt.NDArray[np.bool_] | None) -> Adapted:
        if self.adapt == "similar" and self.archive is not None:
            with step("refine"):
                done = refine(self.model, image, self.archive, plan=self.plan, region=mask, progress=self._progress)
                return _refined(self.model, done)
        if self.adapt == "subset":
            with step("choose"):
                subset, model, score = subsets.choose(self._subsets, self.model, image, self.device)
            with step("similar"):
                similar = self._like(image, self._members(subset), None)
            return replace(_chosen(self.model, subset, model, score, self._names(subset)), similar=similar)
        use = ModelUse(self.model.name, self.model.lineage.parent_name, reason="The model was used as it is.")
        if self._usable is None:
            return Adapted(use, self.model)
        with step("similar"):
            return Adapted(use, self.model, self._like(image, self._usable.where, mask))

    def _compared(self, image: Image) -> tuple[npt.NDArray[np.bool_] | None, tuple[str, ...]]:
        """The region in which similar cases are compared, (*spatial) bool, and what the report says of the comparison."""
        if self.archive is None:
            return None, ()
        other = () if self.model.has_encoder else (_OTHER_ENCODER.format(model=self.model.name),)
        notes = (*other, *said_of(self.model))
        if self.region is None:
            return None, notes
        mask = self.model.predict(image, self.device).masks()[self.region]
        if mask.any():
            return mask, (*notes, f"Similar cases were compared within the {self.region} alone, as {self.model.name} outlines it.")
        return None, (*notes, f"{self.model.name} detects no {self.region} in this image: similar cases were compared as a whole.")

    @cached_property
    def _subsets(self) -> subsets.Subsets:
        if self.archive is None:
            msg = "Subsets belong to an archive; name one with --archive."
            raise ArchiveError(msg)
        return subsets.of(self.archive, self.model)

    def _like(self, image: Image, where: Selection | None, region: npt.NDArray[np.bool_] | None) -> Sequence[SimilarCase]:
        """Cases most like the image, for the reader to compare; none without an archive."""
        if self.archive is None or where is None or not self.archive.count(where):
            return ()
        query = compared(self.model, image)
        return self.archive.similar(query, k=DISPLAYED, encoder=self._encoder, region=region, where=where, progress=self._progress)


def _check_region(region: str, model: Model, archive: Archive | None, adapt: str) -> None:
    if not model.kind.dense or region not in model.labels:
        has = ", ".join(model.labels) if model.kind.dense else "no structures"
        msg = f"Model {model.name} cannot outline the region {region!r}; it outlines {has}."
        raise UsageError(msg)
    if archive is None:
        msg = "A region limits how similar cases are compared, and there is no archive; name one with --archive."
        raise UsageError(msg)
    if adapt == "subset":
        msg = "Subsets are made from whole images, so a region cannot choose among them; leave --region out, or --adapt similar."
        raise UsageError(msg)


def _refined(parent: Model, done: SimilarRefinement) -> Adapted:
    made = done.refinement
    name = parent.name if made.used else None
    refined_on = tuple(case.name for case in made.trained_on) if made.used else ()
    fused = tuple(case.name for case in done.fused.cases) if done.fused is not None and done.fused.used else ()
    use = ModelUse(done.model.name, name, refined_on, "similar", made.reason, made.before, made.after, fused)
    return Adapted(use, done.model, done.similar, (done.advice,) if done.advice else (), done.fused)


def _chosen(parent: Model, subset: subsets.Subset, model: Model, score: float, names: tuple[str, ...]) -> Adapted:
    outcome = ", and the model refined on it was used" if subset.refined else ", whose refined model was not better than its parent"
    reason = f"The image is most like {subset.name} ({subset.size} cases, cosine {score:.2f}){outcome}."
    name = parent.name if subset.refined else None
    return Adapted(ModelUse(model.name, name, names, "subset", reason), model)
