"""``casewise subsets``: an archive's clusters, with a refined model each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import Device, DeviceOption, JsonOption, SeedOption, answering, plural
from casewise.cli.registered import choose

if TYPE_CHECKING:
    from casewise.adaptation.subsets import Subset


def subsets(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's folder.", show_default=False)],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model to refine for each subset.", show_default=False)],
    k: Annotated[
        int | None,
        typer.Option("-k", min=2, metavar="N", help="How many subsets.", show_default="the number that separates best, 4 to 16"),
    ] = None,
    as_json: JsonOption = False,
    device: DeviceOption = Device.AUTO,
    seed: SeedOption = 0,
) -> None:
    """Divide an archive into subsets of similar cases, and refine the model once for each.

    A new image then takes the model of the subset it is most like ([bold]casewise analyze --adapt subset[/bold]), which costs
    no training at that moment. A subset whose refined model is not better on held-out members keeps the model it came from.

    [bold]Examples[/bold]

      casewise subsets my-archive heart-model
      casewise subsets my-archive heart-model -k 6

    Read on in docs/how-to/analyze-and-adapt.md.
    """
    kept = "The subsets whose model is finished are kept; run the same command again to make the others."
    with answering(as_json, kept) as answer:
        from casewise.adaptation.subsets import SUBSET, build
        from casewise.archive import Archive
        from casewise.device import resolve_device

        settings = replace(SUBSET, seed=seed, device=resolve_device(device.value))
        with Archive.open(archive) as opened:
            made = build(opened, choose(model, opened), k=k, settings=settings, progress=answer.progress)
        answer.give({"subsets": [subset.to_json() for subset in made.subsets]}, *map(_line, made.subsets))


def _line(subset: Subset) -> str:
    used = subset.model if subset.refined else "the model it came from (the refined one was not better)"
    return f"{subset.name}: {plural(subset.size, 'case')}, {used}"
