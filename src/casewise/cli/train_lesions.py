"""``casewise train lesions``: where lesions are and what they are, by several sequences of an examination."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from casewise.cli.common import answering
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, SeedOption, SitesOption, flag, option
from casewise.cli.train_job import KEPT, Job, OutputOption, measure_lines, say_left_out
from casewise.errors import UsageError

_STRUCTURE = "The lesions' mask, or a name for the union of several masks."
_NETWORK = "multitask: one encoder; fusion: a network for each sequence; regression: a score instead of kinds."
_SCORE = "A category's score from 0 to 1, for a regression network."
_MAP_SCORE = "Train a regression network's map to carry the lesion's score, instead of 1 in every lesion."


def lesions(
    archive: ArchiveArgument,
    output: OutputOption,
    structure: Annotated[str, option("--structure", metavar="NAME[=PART+…]", help=_STRUCTURE, default=True)] = "lesion",
    category: Annotated[
        list[str] | None,
        option("--category", metavar="NAME", help="A kind of lesion; may be repeated.", default="all that the archive has"),
    ] = None,
    network: Annotated[Literal["multitask", "fusion", "regression"], option("--network", help=_NETWORK, default=True)] = "fusion",
    score: Annotated[list[str] | None, option("--score", metavar="NAME=VALUE", help=_SCORE)] = None,
    map_score: Annotated[bool, flag("--map-score", _MAP_SCORE)] = False,
    steps: Annotated[
        int | None, option("--steps", metavar="N", help="Optimiser steps, over all three phases.", default="1800", min=3)
    ] = None,
    size: Annotated[
        int, option("--size", metavar="N", help="Edge of the network's input in pixels.", default=True, min=32, max=512)
    ] = 128,
    site: SitesOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
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
        from casewise.training.from_archive import cases_of_categories
        from casewise.training.split import split

        job = Job(archive, output, None, site or [], steps, device, seed)
        settings = replace(Plan().settings, seed=seed, device=job.settings().device)
        plan = Plan(network, size=size, scores=_scores(score or ()), carries_score=map_score, settings=settings)
        plan = plan if steps is None else plan.with_steps(steps)
        lesion = Structure.parse(structure)
        found, left_out = labelled_cases(cases_of_categories(job.cases(), category or ()), lesion)
        say_left_out(left_out)
        training, validation = split(list(found), seed=seed)
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
            *measure_lines(measures),
        )


def _scores(texts: Sequence[str]) -> tuple[tuple[str, float], ...]:
    scores = []
    for text in texts:
        name, separator, value = text.rpartition("=")
        try:
            scores.append((name, float(value)))
        except ValueError:
            separator = ""
        if not separator:
            raise UsageError(f"A score is given as NAME=VALUE, such as malignant=1; got {text!r}.")
    return tuple(scores)
