"""Similar cases: the model refined for one image on the archived cases most like it (after EP 3 696 821 A1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from casewise.adaptation.refinement import Plan, Refinement, refine_on
from casewise.adaptation.sequences import cases_for, compared
from casewise.case import Case
from casewise.chest.upright import UprightEncoder
from casewise.image import Image
from casewise.models.model import Model
from casewise.models.shipped import encoder_for
from casewise.progress import Progress, silent
from casewise.result import SimilarCase

if TYPE_CHECKING:
    from casewise.adaptation.label_fusion import FusedLabels
    from casewise.archive import Archive, Selection
    from casewise.encoder import Encoder
    from casewise.models.prediction import Prediction

_REFINING = "Refining on similar cases"
_LISTED = 8


@dataclass(frozen=True)
class SimilarRefinement:
    """similar : the cases found, most similar first, known ones among them. unseen : how many of them the model was not trained
    on. advice : a sentence, where training the model on once with all the archive's new cases would do as well.
    """

    refinement: Refinement
    similar: tuple[SimilarCase, ...]
    unseen: int
    advice: str | None = None
    fused: FusedLabels | None = None

    @property
    def model(self) -> Model:
        return self.refinement.model

    def predict(self, image: Image, device: str = "auto") -> Prediction:
        """What the model that was chosen answers, averaged with the fused labels where these are to be used."""
        answer = self.model.predict(image, device)
        return self.fused.joined(answer) if self.fused is not None else answer


def refine(
    model: Model,
    image: Image,
    archive: Archive,
    *,
    plan: Plan | None = None,
    by: Sequence[str] = ("latent", "content"),
    encoder: Encoder | None = None,
    region: npt.NDArray[np.bool_] | None = None,
    exclude: Collection[str] = (),
    progress: Progress = silent,
) -> SimilarRefinement:
    """Refine ``model`` for ``image`` on the most similar labelled cases of ``archive`` that it has not been trained on.

    encoder : whose latent space compares; the model's own of upright pictures by default. region (*spatial) bool : only it is
        compared.
    exclude : keys of cases never to be used (the image itself is left out by its key where the archive holds it).
    progress : called for the images that are given a vector first, of the training's steps, and of the cases registered.
    """
    model.check_trainable()
    plan = plan or Plan()
    device = plan.settings.device
    encoder = encoder or UprightEncoder(encoder_for(model, device), device)
    wanted = plan.k + plan.held_out
    usable = Usable(model, archive)
    total = archive.count(usable.where.but(model.trained_on))
    query = compared(model, image)
    found = archive.similar(
        query,
        k=2 * wanted,
        by=by,
        encoder=encoder,
        region=region,
        exclude=exclude,
        where=usable.where,
        progress=progress,
    )
    new = [case for case in found if case.key not in model.trained_on]
    if len(new) < wanted and total > len(new):
        new = archive.similar(
            query,
            k=wanted,
            by=by,
            encoder=encoder,
            region=region,
            exclude=exclude,
            unseen_by=model.trained_on,
            where=usable.where,
            progress=progress,
        )
    new = new[:wanted]
    seen = tuple(sorted({case.key: case for case in [*found[:wanted], *new]}.values(), key=lambda case: -case.score))
    labelled = usable.cases([case.key for case in seen])
    fused = _fused(model, image, [labelled[case.key] for case in seen], progress) if plan.label_fusion else None
    why = plan.acceptance.before(len(new), len(found) - len(new))
    if why is not None:
        refinement = Refinement(model, model, used=False, reason=_joined(why, fused))
        return SimilarRefinement(refinement, tuple(found[:_LISTED]), len(new), fused=fused)
    refinement = refine_on(
        model,
        [labelled[case.key] for case in new],
        plan,
        "similar",
        lambda step, steps, loss: progress(_REFINING, step, steps, f"loss {loss:.3f}"),
    )
    refinement = replace(refinement, reason=_joined(refinement.reason, fused))
    advice = _advice(model, total) if plan.acceptance.continuing_is_as_good(refinement.share, total) else None
    return SimilarRefinement(refinement, seen, len(new), advice, fused)


def _fused(model: Model, image: Image, cases: Sequence[Case], progress: Progress) -> FusedLabels | None:
    """The similar cases' labels, registered to the image; None for a model that finds no structures."""
    if not model.kind.dense or not cases:
        return None
    from casewise.adaptation.label_fusion import fuse_labels  # MONAI's losses take a second to import

    return fuse_labels(model, image, cases, progress=progress)


def _joined(reason: str, fused: FusedLabels | None) -> str:
    return reason if fused is None else f"{reason} {fused.reason}"


def _advice(model: Model, unseen: int) -> str:
    task = "segmenter" if model.kind.dense else "classifier"
    return (
        f"The archive has {unseen} labelled cases that {model.name} was not trained on; training it on once with them does as "
        f"well as refining it for each image and costs nothing afterwards: casewise train {task} ARCHIVE --from MODEL --output DIR."
    )


class Usable:
    """The archive's cases that carry what a model is trained for. where : which images stand for them.

    Of a model of several sequences a case is an examination, so that all of them are made; else those that are asked for.
    """

    def __init__(self, model: Model, archive: Archive) -> None:
        from casewise.archive import Selection

        self._archive, self._examinations = archive, None
        self.where = _selection(model)
        if model.spec.preparation.sequences:
            self._examinations = {case.key: case for case in usable_cases(model, archive)}
            self.where = Selection(among=frozenset(self._examinations))

    def cases(self, keys: Collection[str]) -> dict[str, Case]:
        """Those of ``keys`` that are usable."""
        if self._examinations is not None:
            return {key: self._examinations[key] for key in keys if key in self._examinations}
        return {case.key: case for case in self._archive.cases(keys=keys, where=self.where)} if keys else {}


def _selection(model: Model) -> Selection:
    """Images that carry what the model is trained for, as ``model.spec.labelled`` says of a case."""
    from casewise.archive import Selection

    spec = model.spec
    return Selection(any_structure=tuple(spec.structures)) if spec.structures else Selection(categories=frozenset(spec.classes))


def usable_cases(model: Model, archive: Archive) -> list[Case]:
    """The archive's cases that carry what the model is trained for; of a model of several sequences, whole examinations."""
    if not model.spec.preparation.sequences:
        return archive.cases(where=_selection(model))
    return [case for case in cases_for(model, archive.cases()) if model.spec.labelled(case)]
