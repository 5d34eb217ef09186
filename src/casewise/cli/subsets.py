"""``casewise subsets``: an archive's clusters, with a refined model each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import answering, plural
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, OnOption, SeedOption, WorkersOption, argument, option

if TYPE_CHECKING:
    from casewise.adaptation.subsets import Subset


def subsets(
    archive: ArchiveArgument,
    model: Annotated[str, argument("MODEL", "The model to refine for each subset.")],
    k: Annotated[
        int | None, option("-k", metavar="N", help="How many subsets.", default="the number that separates best, 4 to 16", min=2)
    ] = None,
    workers: WorkersOption = None,
    on: OnOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Divide an archive into subsets of similar cases, and refine the model once for each.

    A new image then takes the model of the subset it is most like ([bold]casewise analyze --adapt subset[/bold]), which costs
    no training at that moment. A subset whose refined model is not better on held-out members keeps the model it came from.

    [bold]Examples[/bold]

      casewise subsets my-archive heart-model
      casewise subsets my-archive heart-model -k 6 --workers 3

    Read on in docs/how-to/analyze-and-adapt.md.
    """
    kept = "The subsets whose model is finished are kept; run the same command again to make the others."
    with answering(as_json, kept) as answer:
        from casewise.adaptation.subsets import SUBSET, build
        from casewise.archive import Archive
        from casewise.device import resolve_device
        from casewise.models import load
        from casewise.workers import chosen

        settings = replace(SUBSET, seed=seed, device=resolve_device(device))
        with chosen(workers, on, gpus=1 if device == "cuda" else 0) as crew, Archive.open(archive) as opened:
            made = build(
                opened,
                load(model, archive=opened),
                k=k,
                settings=settings,
                workers=crew,
                name=model,
                progress=answer.progress,
            )
        answer.give({"subsets": [subset.to_json() for subset in made.subsets]}, *map(_line, made.subsets))


def _line(subset: Subset) -> str:
    used = subset.model if subset.refined else "the model it came from (the refined one was not better)"
    return f"{subset.name}: {plural(subset.size, 'case')}, {used}"
