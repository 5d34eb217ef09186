"""``casewise train lesions``: where lesions are and what they are, by several sequences of an examination."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import FLAG, Device, DeviceOption, JsonOption, SeedOption, answering
from casewise.cli.train_job import KEPT, ArchiveArgument, Job, OutputOption, SiteOption, tell_left_out
from casewise.errors import UsageError

if TYPE_CHECKING:
    from casewise.case import Case
    from casewise.lesions import Labelled, Plan


class Network(StrEnum):
    """What is built."""

    MULTITASK = "multitask"
    FUSION = "fusion"
    REGRESSION = "regression"


def lesions(
    archive: ArchiveArgument,
    output: OutputOption,
    structure: Annotated[
        str,
        typer.Option("--structure", metavar="NAME[=PART+…]", help="The lesions' mask, or a name for the union of several masks."),
    ] = "lesion",
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            metavar="NAME",
            help="A kind of lesion to tell apart; may be repeated.",
            show_default="all that the archive has",
        ),
    ] = None,
    network: Annotated[
        Network,
        typer.Option(
            "--network", help="multitask: one encoder; fusion: a network for each sequence; regression: a score instead of kinds."
        ),
    ] = Network.FUSION,
    score: Annotated[
        list[str] | None,
        typer.Option(
            "--score", metavar="NAME=VALUE", help="A category's score from 0 to 1, for a regression network.", show_default=False
        ),
    ] = None,
    map_score: Annotated[
        bool,
        typer.Option(
            "--map-score",
            metavar=FLAG,
            help="Train a regression network's map to carry the lesion's score, instead of 1 in every lesion.",
            show_default=False,
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=3, metavar="N", help="Optimiser steps, over all three phases.", show_default="1800"),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=32, max=512, metavar="N", help="Edge of the network's input in pixels.")] = 128,
    site: SiteOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Train a model that maps lesions by several sequences together and says of which kind they are.

    An archive's images of one patient are one examination: their sequences are registered, and one of them has the mask. The map is
    learnt first, then the kind with the map held fixed, then both together; sequences are left out at random, so that the model
    also answers where one is missing. The archive's categories are the kinds.

    [bold]Examples[/bold]

      casewise train lesions my-archive --output lesion-model
      casewise train lesions my-archive --structure lesion=tumour+edema --network multitask -o lesion-model
      casewise train lesions my-archive --network regression --score benign=0.5 --score malignant=1 --map-score -o suspicion

    Read on in docs/how-to/lesions.md.
    """
    with answering(as_json, KEPT) as answer:
        from casewise.case import Structure
        from casewise.lesions import Plan, labelled_cases, train_lesions

        job = Job(archive, output, None, site or [], steps, device, seed)
        settings = replace(Plan().settings, seed=seed, device=job.settings().device)
        plan = Plan(network.value, size=size, scores=_scores(score or ()), carries_score=map_score, settings=settings)
        plan = plan if steps is None else replace(plan, steps=_parted(plan, steps))
        lesion = Structure.parse(structure)
        found, left_out = labelled_cases(_of(job.cases(), category or ()), lesion)
        tell_left_out(left_out)
        training, validation = _split(found, seed)
        kept = output.parent / f".{output.name}.training"
        model = train_lesions(
            training,
            output.name,
            plan,
            lesion=lesion,
            validation=validation,
            kept=kept,
            progress=answer.steps("Training"),
            reading=lambda done, total: answer.progress("Reading", done, total),
            failed=lambda sentence: answer.failed(archive, sentence),
        )
        model.save(output)
        shutil.rmtree(kept, ignore_errors=True)
        measures = dict(model.lineage.measures)
        answer.give(
            {"model": output, "measures": measures, "examinations": len(training), "validation_examinations": len(validation)},
            f"Model: {output}, from {len(training)} examinations, {len(validation)} set aside",
            *(f"  {name.replace('_', ' ')}: {value:.4g}" for name, value in measures.items()),
        )


def _scores(options: Sequence[str]) -> tuple[tuple[str, float], ...]:
    scores = []
    for option in options:
        name, separator, value = option.rpartition("=")
        try:
            scores.append((name, float(value)))
        except ValueError:
            separator = ""
        if not separator:
            raise UsageError(f"A score is given as NAME=VALUE, such as malignant=1; given was {option!r}.")
    return tuple(scores)


def _parted(plan: Plan, steps: int) -> tuple[int, int, int]:
    """``steps`` over the phases as the plan has them."""
    share = steps / sum(plan.steps)
    first, second = (max(1, round(own * share)) for own in plan.steps[:2])
    return first, second, max(1, steps - first - second)


def _of(cases: Sequence[Case], categories: Sequence[str]) -> list[Case]:
    known = sorted({case.category for case in cases if case.category})
    for category in categories:
        if category not in known:
            msg = f"The archive has no cases of category {category!r}; it has {', '.join(known) or 'none that are named'}."
            raise UsageError(msg)
    subjects = {(case.site, case.subject) for case in cases if case.category in categories and case.subject}
    return [
        case
        for case in cases
        if not categories or case.category in categories or (case.category is None and (case.site, case.subject) in subjects)
    ]


def _split(examinations: Sequence[Labelled], seed: int) -> tuple[list[Labelled], list[Labelled]]:
    """(training, set aside), by subject, as every training here parts its cases."""
    from casewise.lesions.training import as_case
    from casewise.training.split import split

    cases = {as_case(examination): examination for examination in examinations}
    training, aside = split(list(cases), seed=seed)
    return [cases[case] for case in training], [cases[case] for case in aside]
