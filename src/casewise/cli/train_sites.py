"""``casewise train sites``: from a first site's model to the other sites, and to the one where it is deployed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from casewise.cli.common import Answer, answering, check_new_folder, plural, say
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, SeedOption, flag, option
from casewise.cli.train_job import OutputOption, say_left_out
from casewise.errors import UsageError

if TYPE_CHECKING:
    from casewise.adaptation.sites import Plan, Sites
    from casewise.archive import Archive
    from casewise.case import Case, Structure
    from casewise.lesions.sites import Gathered, LesionLearning
    from casewise.models import Model

_KEPT = "The sites that are finished, and the last checkpoint, are kept; run the same command again to go on from there."
_ANNOTATE = 20  # images that are named to be annotated next


_FIRST = "The site that the model comes from."
_LARGEST = "the one that --from was trained on most, else the one with the most labelled cases; never --deployment's"
_STRUCTURE = "What to outline; may be repeated. A segmenter of it is trained on the first site."
_PARENT = "The pretrained model: a segmenter, a classifier, or a lesion network."
_ORDER = "Which of a further site's cases come first, by likeness to the first site."
_ALONE = "Train on each site's cases alone, without those of the earlier sites in between."
_STEPS = "800 on the first, 200, at the deployment site 60"

Order = Literal["similar", "dissimilar", "random"]
Choice = Literal["uncertain", "certain", "random"]


def sites(
    archive: ArchiveArgument,
    output: OutputOption,
    first: Annotated[str | None, option("--first", metavar="SITE", help=_FIRST, default=_LARGEST)] = None,
    deployment: Annotated[
        str | None, option("--deployment", metavar="SITE", help="The site where the model is to work; it comes last.")
    ] = None,
    structure: Annotated[
        list[str] | None,
        option("--structure", metavar="NAME[=PART+…]", help=_STRUCTURE, default="with --from: that model's"),
    ] = None,
    parent: Annotated[str | None, option("--from", metavar="MODEL", help=_PARENT)] = None,
    order: Annotated[Order | None, option("--order", help=_ORDER, default="similar")] = None,
    choose: Annotated[
        Choice | None, option("--choose", help="Which of the deployment site's cases come first.", default="uncertain")
    ] = None,
    annotated: Annotated[
        int | None, option("--annotated", metavar="N", help="Use so many of the deployment site's cases.", default="all", min=1)
    ] = None,
    alone: Annotated[bool, flag("--alone", _ALONE)] = False,
    steps: Annotated[int | None, option("--steps", metavar="N", help="Optimiser steps a site.", default=_STEPS, min=1)] = None,
    size: Annotated[
        int, option("--size", metavar="N", help="Edge of a new model's input in pixels.", default=True, min=16, max=1024)
    ] = 128,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Take a model from site to site: pretrained on the first, continued on the others, fitted to the one where it is deployed.

    The site most like the first one comes next, and within a site the cases most like the first site's (--order). At the
    deployment site the annotated cases come in the order in which the model is unsure of them (--choose), and images there
    without labels are named in the order in which annotating them would help most. A stage after which the model is worse on its
    own site's held-out cases is undone. A model of `casewise train lesions` goes on with examinations of several sequences.
    Beside the model lies sites.html: the accuracy of each site before and after.

    [bold]Examples[/bold]

      casewise train sites my-archive --structure lung --first "Hospital A" --output lungs
      casewise train sites my-archive --from lung-model --deployment "Hospital C" -o lungs-c
      casewise train sites my-archive --from lung-model --deployment C --annotated 8 -o lungs-c8
      casewise train sites my-archive --from lesion-model --deployment "Hospital C" -o lesions-c

    Read on in docs/how-to/sites.md.
    """
    with answering(as_json, _KEPT) as answer:
        from casewise.adaptation.sites import Plan, check_sites, train_sites, vectors_of
        from casewise.archive import Archive
        from casewise.chest.upright import UprightEncoder
        from casewise.lesions.sites import case_of, vectors_of_examinations
        from casewise.models import load
        from casewise.models.shipped import default_encoder
        from casewise.reporting.sites import write_sites
        from casewise.training.from_archive import save_registered

        check_new_folder(output)
        plan = _settled(Plan(), order, choose, annotated, alone, steps, device, seed)
        with Archive.open(archive) as opened:
            job = _Job(opened, output, plan, answer)
            model = load(parent) if parent else None
            structures = _structures(structure, model)
            examinations = job.examinations(model, deployment) if model is not None and model.task == "lesions" else None
            cases = job.labelled(model, structures, examinations)
            start = _first(first, deployment, model, cases)
            check_sites({case.site: None for case in cases if case.site}, start, deployment)
            place = plan.further.device
            vectors = vectors_of(opened, UprightEncoder(default_encoder(place), place), answer.progress)
            learning = None
            unlabelled = job.unlabelled(deployment, cases)
            if model is not None and examinations is not None:
                learning = job.made_ready(model, examinations)
                cases, unlabelled = (
                    learning.usable([case_of(model, own) for own in group])
                    for group in (examinations.labelled, examinations.unlabelled)
                )
                vectors = vectors_of_examinations(model, examinations.labelled, vectors)
            elif model is None:
                model = job.pretrained(structures, [case for case in cases if case.site == start], size, steps)
            done = train_sites(
                model,
                cases,
                vectors,
                plan,
                first=start,
                deployment=deployment,
                unlabelled=unlabelled,
                folder=job.folder,
                progress=job.progress,
                learning=learning,
            )
        made = done.model.renamed(output.name)
        if warning := save_registered(made, output, archive):
            say(warning)
        shutil.rmtree(job.folder, ignore_errors=True)
        report = write_sites(done.to_json(), output / "sites.html", title=output.name)
        answer.give(
            {"model": output, "measures": dict(made.lineage.measures), **done.to_json(), "report": report},
            f"Model: {output}",
            *_lines(done),
            f"Report: {report}",
        )


@dataclass(frozen=True)
class _Job:
    """One call: the archive, where it is kept, and who is told how far it is."""

    archive: Archive
    output: Path
    plan: Plan
    answer: Answer

    @property
    def folder(self) -> Path:
        """Where finished stages lie until all are."""
        return self.output.parent / f".{self.output.name}.sites"

    def progress(self, site: str, step: int, steps: int, loss: float) -> None:
        self.answer.progress(f"Training on {site}", step, steps, f"loss {loss:.3f}")

    def examinations(self, model: Model, deployment: str | None) -> Gathered:
        from casewise.lesions.sites import gathered

        found = gathered(model, self.archive.cases(), deployment)
        say_left_out(found.left_out)
        return found

    def made_ready(self, model: Model, examinations: Gathered) -> LesionLearning:
        from casewise.lesions.sites import LesionLearning

        return LesionLearning(
            model,
            [*examinations.labelled, *examinations.unlabelled],
            self.folder / "slices",
            self.plan.further.device,
            lambda done, total: self.answer.progress("Reading examinations", done, total),
            lambda sentence: self.answer.failed(self.archive.folder, sentence),
        )

    def labelled(self, model: Model | None, structures: list[Structure], examinations: Gathered | None) -> list[Case]:
        from casewise.adaptation.similar import usable_cases
        from casewise.lesions.sites import case_of

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

    def unlabelled(self, deployment: str | None, labelled: list[Case]) -> list[Case]:
        known = {case.key for case in labelled}
        return [case for case in self.archive.cases(site=deployment) if case.key not in known] if deployment else []

    def pretrained(self, structures: list[Structure], cases: list[Case], size: int, steps: int | None) -> Model:
        """The first site's model, trained now or kept from a call that was stopped."""
        from casewise.hashing import combined_key
        from casewise.models import Model
        from casewise.training import Input, Settings, train_segmenter

        settings = Settings(seed=self.plan.further.seed, device=self.plan.further.device)
        if steps is not None:
            settings = replace(settings, steps=steps)
        words = [*(case.key for case in cases), *map(str, structures), repr(settings), f"{size} pixels"]
        kept = self.folder / f"first-{combined_key(words)[:12]}"
        if kept.exists():
            return Model.load(kept)
        model = train_segmenter(
            cases,
            structures,
            self.output.name,
            input=Input(size),
            settings=settings,
            checkpoint=self.folder / f"{kept.name}.checkpoint",
            progress=self.answer.steps("Training on the first site"),
        )
        model.save(kept)
        return model


def _settled(
    plan: Plan,
    order: Order | None,
    choose: Choice | None,
    annotated: int | None,
    alone: bool,
    steps: int | None,
    device: str,
    seed: int,
) -> Plan:
    from casewise.device import resolve_device

    where = resolve_device(device)
    further, deployed = (replace(settings, seed=seed, device=where) for settings in (plan.further, plan.deployed))
    if steps is not None:
        further, deployed = replace(further, steps=steps), replace(deployed, steps=steps)
    return replace(
        plan,
        order=order or plan.order,
        choice=choose or plan.choice,
        annotated=annotated,
        rehearsed=plan.rehearsed and not alone,
        further=further,
        deployed=deployed,
    )


def _structures(given: list[str] | None, model: Model | None) -> list[Structure]:
    from casewise.case import Structure

    if model is None and not given:
        msg = "Name what is to be outlined with --structure, or a pretrained model with --from."
        raise UsageError(msg)
    if model is not None and given:
        msg = f"Model {model.name} keeps what it finds ({', '.join(model.labels)}); leave --structure out."
        raise UsageError(msg)
    return [Structure.parse(text) for text in given or ()]


def _first(given: str | None, deployment: str | None, model: Model | None, cases: list[Case]) -> str:
    """The site that was named, else the one that the model knows best, else the largest; but not where it is to be deployed."""
    if given is not None:
        return given
    counts: dict[str, tuple[int, int]] = {}
    for case in cases:
        if case.site:
            known, every = counts.get(case.site, (0, 0))
            counts[case.site] = (known + (model is not None and case.key in model.trained_on), every + 1)
    return max(counts, key=lambda site: (site != deployment, counts[site]))


def _lines(done: Sites) -> list[str]:
    lines = []
    for site in done.likeness:
        before, after = done.before.get(site), done.after.get(site)
        told = (
            "no case held out"
            if before is None or after is None
            else f"{done.measure.replace('dice', 'Dice')} {before:.3f} → {after:.3f}"
        )
        lines.append(f"  {site}: {told}, likeness to {done.first} {done.likeness[site]:.2f}")
    lines += [f"  {stage.site}, {plural(len(stage.cases), 'case')}: {stage.reason}" for stage in done.stages]
    if done.annotate:
        lines.append(f"Annotate next, the model is least sure of them ({plural(len(done.annotate), 'image')} without labels):")
        lines += [f"  {case.name} ({score:.3f})" for case, score in done.annotate[:_ANNOTATE]]
    return lines
