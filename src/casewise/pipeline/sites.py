"""A model taken from site to site on an archive's cases, from its first site to the one where it is deployed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.adaptation.sequences import cases_for
from casewise.adaptation.similar import usable_cases
from casewise.adaptation.site_measuring import Crew, laid
from casewise.adaptation.sites import Plan, Sites, check_sites, train_sites, vectors_of
from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.chest.upright import UprightEncoder
from casewise.device import resolve_device
from casewise.errors import UsageError
from casewise.hashing import combined_key
from casewise.lesions.sites import Gathered, LesionLearning, case_of, gathered, vectors_of_examinations
from casewise.models import Model
from casewise.models.shipped import default_encoder
from casewise.models.tasks import Lesions
from casewise.pipeline.embedding import embed_by
from casewise.pipeline.site_workers import SLICES, Answering, Preparing, made_ready
from casewise.progress import Progress, silent
from casewise.training import Input, Settings, train_segmenter
from casewise.workers import Workers

if TYPE_CHECKING:
    from casewise.training.curriculum import Vectors


def site_plan(
    *,
    order: str | None = None,
    choice: str | None = None,
    annotated: int | None = None,
    alone: bool = False,
    steps: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Plan:
    """The plan with what is given; None keeps its default. steps : of every site. alone : no cases of earlier sites in between."""
    plan, where = Plan(), resolve_device(device)
    further, deployed = (replace(settings, seed=seed, device=where) for settings in (plan.further, plan.deployed))
    if steps is not None:
        further, deployed = replace(further, steps=steps), replace(deployed, steps=steps)
    return replace(
        plan,
        order=order or plan.order,
        choice=choice or plan.choice,
        annotated=annotated,
        rehearsed=plan.rehearsed and not alone,
        further=further,
        deployed=deployed,
    )


@dataclass(frozen=True)
class SiteTraining:
    """A training over the sites of ``archive``.

    folder : where finished stages lie until all are; the same call goes on from there. name : of the model that is made.
    steps, size : of the model that is trained on the first site, where none is given; None: the default.
    progress : of the long steps. notify : called with a sentence for each examination that is left out, all in one. failed : called
    with a sentence for each that cannot be used. workers : make vectors, make examinations ready and measure models; None: this
    process, as always for training.
    """

    archive: Archive
    folder: Path
    name: str
    plan: Plan
    steps: int | None = None
    size: int = 128
    progress: Progress = silent
    notify: Callable[[Sequence[str]], None] = lambda sentences: None
    failed: Callable[[str], None] = lambda sentence: None
    workers: Workers | None = None

    def run(
        self,
        model: Model | None = None,
        structures: Sequence[Structure] = (),
        *,
        first: str | None = None,
        deployment: str | None = None,
    ) -> Sites:
        """Train on the first site, on the others and on the deployment site.

        model : the pretrained one; without it a segmenter of ``structures`` is trained on the first site.
        first : by default the site that the model knows best, else the largest. Raises UsageError for cases without a site, for a
        site that is not there, and for both or neither of model and structures.
        """
        _check(model, structures)
        examinations = self._examinations(model, deployment) if model is not None and isinstance(model.kind, Lesions) else None
        cases = self._labelled(model, structures, examinations)
        start = first if first is not None else first_site(deployment, model, cases)
        check_sites({case.site: None for case in cases if case.site}, start, deployment)
        vectors = self._vectors()
        learning, usable = None, frozenset[str]()
        unlabelled = self._unlabelled(model, deployment, cases)
        if model is not None and examinations is not None:
            learning = self._learning(model, examinations, deployment)
            cases, unlabelled = (
                learning.usable([case_of(model, own) for own in group])
                for group in (examinations.labelled, examinations.unlabelled)
            )
            usable = frozenset(case.key for case in (*cases, *unlabelled))
            vectors = vectors_of_examinations(model, examinations.labelled, vectors)
        elif model is None:
            model = self._pretrained(structures, [case for case in cases if case.site == start])
        done = train_sites(
            model,
            cases,
            vectors,
            self.plan,
            first=start,
            deployment=deployment,
            unlabelled=unlabelled,
            folder=self.folder,
            progress=lambda site, step, steps, loss: self.progress(f"Training on {site}", step, steps, f"loss {loss:.3f}"),
            learning=learning,
            crew=self._crew(model, deployment, usable),
        )
        return replace(done, model=done.model.renamed(self.name))

    def forget(self) -> None:
        """Remove the finished stages, when the model that came of them is saved."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _vectors(self) -> dict[str, Vectors]:
        device = self.plan.further.device
        if self.workers is not None:
            embed_by(self.workers, self.archive, None, device, self.progress)
        return vectors_of(self.archive, UprightEncoder(default_encoder(device), device), self.progress)

    def _examinations(self, model: Model, deployment: str | None) -> Gathered:
        found = gathered(model, self.archive.cases(), deployment)
        self.notify(found.left_out)
        return found

    def _crew(self, model: Model, deployment: str | None, examinations: frozenset[str]) -> Crew | None:
        if self.workers is None:
            return None
        start, where = laid(model, self.folder), Path(self.archive.folder)
        make = Answering(where, start, deployment, self.folder, self.plan.further, examinations)
        return Crew(self.workers, make, self.folder, self.progress)

    def _learning(self, model: Model, examinations: Gathered, deployment: str | None) -> LesionLearning:
        every: Sequence[Case] = [*examinations.labelled, *examinations.unlabelled]
        if self.workers is not None:
            make = Preparing(Path(self.archive.folder), laid(model, self.folder), deployment, self.folder)
            every = made_ready(self.workers, make, every, self.progress, self.failed)
        return LesionLearning(
            model,
            every,
            self.folder / SLICES,
            self.plan.further.device,
            lambda done, total: self.progress("Reading examinations", done, total),
            self.failed,
        )

    def _labelled(self, model: Model | None, structures: Sequence[Structure], examinations: Gathered | None) -> list[Case]:
        if model is not None and examinations is not None:
            cases = [case_of(model, examination) for examination in examinations.labelled]
        elif model is not None:
            cases = usable_cases(model, self.archive)
        else:
            cases = [case for case in self.archive.cases() if any(case.has(structure) for structure in structures)]
        if not any(case.site for case in cases):
            what = "case that the model can learn from" if model else f"case with a mask of {', '.join(map(str, structures))}"
            msg = f"No {what} says which site it is from; import each site's images with --site NAME."
            raise UsageError(msg)
        return cases

    def _unlabelled(self, model: Model | None, deployment: str | None, labelled: list[Case]) -> list[Case]:
        known, cases = {case.key for case in labelled}, self.archive.cases(site=deployment) if deployment else []
        return [case for case in (cases_for(model, cases) if model is not None else cases) if case.key not in known]

    def _pretrained(self, structures: Sequence[Structure], cases: list[Case]) -> Model:
        """The first site's model, trained now or kept from a call that was stopped."""
        settings = Settings(seed=self.plan.further.seed, device=self.plan.further.device)
        if self.steps is not None:
            settings = replace(settings, steps=self.steps)
        words = [*(case.key for case in cases), *map(str, structures), repr(settings), f"{self.size} pixels"]
        kept = self.folder / f"first-{combined_key(words)[:12]}"
        if kept.exists():
            return Model.load(kept)
        model = train_segmenter(
            cases,
            list(structures),
            self.name,
            input=Input(self.size),
            settings=settings,
            checkpoint=self.folder / f"{kept.name}.checkpoint",
            progress=lambda step, steps, loss: self.progress("Training on the first site", step, steps, f"loss {loss:.3f}"),
        )
        model.save(kept)
        return model


def first_site(deployment: str | None, model: Model | None, cases: Sequence[Case]) -> str:
    """The site that the model knows best, else the largest; but not where it is to be deployed."""
    counts: dict[str, tuple[int, int]] = {}
    for case in cases:
        if case.site:
            known, every = counts.get(case.site, (0, 0))
            counts[case.site] = (known + (model is not None and case.key in model.trained_on), every + 1)
    return max(counts, key=lambda site: (site != deployment, counts[site]))


def _check(model: Model | None, structures: Sequence[Structure]) -> None:
    if model is None and not structures:
        msg = "Name what is to be outlined with --structure, or a pretrained model with --from."
        raise UsageError(msg)
    if model is not None and structures:
        msg = f"Model {model.name} keeps what it finds ({', '.join(model.labels)}); leave --structure out."
        raise UsageError(msg)
