"""``casewise evaluate``: how good a model is on an archive's labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import FLAG, Device, DeviceOption, JsonOption, SeedOption, answering, plural
from casewise.cli.registered import choose
from casewise.cli.train_job import SiteOption, cases_of

if TYPE_CHECKING:
    from casewise.evaluation import Measure
    from casewise.models import Model


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's folder, file or name.", show_default=False)],
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive with the labels.", show_default=False)],
    site: SiteOption = None,
    known: Annotated[
        bool, typer.Option("--trained-on", help="Count the cases that the model was trained on as well.", metavar=FLAG)
    ] = False,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
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
        from casewise.device import resolve_device
        from casewise.evaluation import evaluate as evaluate_all
        from casewise.evaluation import measures_of

        where = resolve_device(device.value)
        with Archive.open(archive) as opened:
            network = choose(model, opened)
            cases = cases_of(opened, site or [])
            without = sum(not network.spec.labelled(case) for case in cases)
            rows = evaluate_all(
                network,
                cases,
                where,
                failed=lambda case, reason: answer.failed(case.name, reason),
                progress=lambda done, total, name: answer.progress("Evaluating", done, total, name),
            )
        counted = [row for row in rows if known or not row.known]
        measures = measures_of(network, counted, seed)
        left_out = len(rows) - len(counted)
        lines = [f"{network.name} on {plural(len(counted), 'case')}:", *map(_line, measures)]
        if without:
            lines.append(f"  {plural(without, 'case')} without a label of {_wanted(network)}: not compared.")
        if left_out:
            lines.append(f"  {plural(left_out, 'case')} left out: the model was trained on them (--trained-on counts them).")
        document = {
            "model": network.name,
            "measures": [measure.to_json() for measure in measures],
            "left_out": left_out,
            "without_label": without,
            "cases": [row.to_json() for row in rows],
        }
        answer.give(document, *lines)


def _wanted(model: Model) -> str:
    return " or ".join(str(structure) for structure in model.spec.structures) if model.task == "segmentation" else model.name


def _line(measure: Measure) -> str:
    name = {"dice": "Dice", "auc": "AUC", "accuracy": "accuracy"}[measure.name]
    interval = f", 95 % interval {measure.lower:.3f} to {measure.upper:.3f}" if measure.lower is not None else ""
    place = f"  {measure.site}" if measure.site else ""
    return f"{place}  {measure.label}: {name} {measure.value:.3f} (n {measure.n}{interval})"
