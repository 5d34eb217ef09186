"""``casewise evaluate``: how good a model is on an archive's labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import answering, plural
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, SitesOption, argument, flag

if TYPE_CHECKING:
    from casewise.evaluation import Measure
    from casewise.models import Model


def evaluate(
    model: Annotated[str, argument("MODEL", "A model's folder, file or name.")],
    archive: Annotated[str, argument("ARCHIVE", "The archive with the labels.")],
    site: SitesOption = None,
    known: Annotated[bool, flag("--trained-on", "Count the cases that the model was trained on as well.")] = False,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Compare a model's predictions with an archive's labels: Dice by structure, or AUC by class, by case and by site.

    Cases that the model was trained on are listed, and left out of the measures. Intervals are 95 %, by bootstrap over subjects.
    Predictions are made on each image's own grid, by the model as it is: no similar cases, no refinement.

    [bold]Examples[/bold]

      casewise evaluate heart-model my-archive
      casewise evaluate lung.ts my-archive --site "Hospital B" --json

    Read on in docs/how-to/train-a-model.md.
    """
    with answering(as_json) as answer:
        from casewise.archive import Archive
        from casewise.evaluation import evaluate_archive
        from casewise.models import load

        with Archive.open(archive) as opened:
            done = evaluate_archive(
                load(model, archive=opened),
                opened,
                sites=site or (),
                known=known,
                device=device,
                seed=seed,
                failed=lambda case, reason: answer.failed(case.name, reason),
                progress=answer.progress,
            )
        counted = len(done.rows) - done.left_out
        lines = [f"{done.model.name} on {plural(counted, 'case')}:", *map(_line, done.measures)]
        if done.without_label:
            lines.append(f"  {plural(done.without_label, 'case')} without a label of {_wanted(done.model)}: not compared.")
        if done.left_out:
            lines.append(f"  {plural(done.left_out, 'case')} left out: the model was trained on them (--trained-on counts them).")
        answer.give(done.to_json(), *lines)


def _wanted(model: Model) -> str:
    return " or ".join(str(structure) for structure in model.spec.structures) if model.kind.dense else model.name


def _line(measure: Measure) -> str:
    name = {"dice": "Dice", "auc": "AUC", "accuracy": "accuracy"}[measure.name]
    interval = f", 95 % interval {measure.lower:.3f} to {measure.upper:.3f}" if measure.lower is not None else ""
    place = f"  {measure.site}" if measure.site else ""
    return f"{place}  {measure.label}: {name} {measure.value:.3f} (n {measure.n}{interval})"
