"""``casewise models``: which models there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from casewise.cli.common import answering
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, argument
from casewise.errors import CasewiseError


def models(
    folders: Annotated[
        list[Path] | None,
        argument("FOLDER", "Folders to look for models in, three levels deep.", "this folder"),
    ] = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """List the models in folders, and those that come with casewise: name, task, labels, origin and measures.

    "research only" marks weights whose training data allow nothing else; --json lists the data sets and their licences.

    [bold]Examples[/bold]

      casewise models
      casewise models /srv/models --json

    Read on in docs/how-to/bring-your-own-model.md.
    """
    with answering(as_json) as answer:
        from casewise.models.listing import SHIPPED, describe_model, find_models

        places = [*(folders or [Path()]), SHIPPED]
        found: list[dict[str, object]] = []
        for place in places:
            try:
                folders_here = list(find_models(place))
            except CasewiseError as error:
                answer.failed(place, error)
                continue
            for folder in folders_here:
                try:
                    found.append(describe_model(folder))
                except CasewiseError as error:
                    answer.failed(folder, error)
        answer.give(found, *map(_line, found))
        if not found and not answer.failures:
            answer.lines.append("No models here; `casewise train --help` makes one, `casewise models FOLDER` looks elsewhere.")


def _line(model: dict[str, object]) -> str:
    labels = ", ".join(str(label) for label in model["labels"])  # type: ignore[attr-defined]
    origin = f", from {model['parent']}" if model["parent"] else ""
    use = "; research only" if model["research_only"] else ""
    return f"{model['name']}  {model['task']}: {labels or 'any image'}{origin}; {model['trained_on']} cases{use}  {model['path']}"
