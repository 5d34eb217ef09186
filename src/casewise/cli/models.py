"""``casewise models``: which models there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from casewise.cli.common import answering, say
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, argument, option
from casewise.errors import CasewiseError

_INTO = "Copy models into this archive: its server offers them, and --archive finds them by name."


def models(
    folders: Annotated[
        list[Path] | None,
        argument("FOLDER", "Folders to look for models in, three levels deep; with --into, the models.", "this folder"),
    ] = None,
    into: Annotated[str | None, option("--into", metavar="ARCHIVE", help=_INTO)] = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """List the models in folders, and those that come with casewise: name, task, labels, origin and measures.

    nnU-Net's results and MONAI bundles are listed by their own files. "research only" marks weights whose training data allow
    nothing else; --json lists the data sets and their licences. With --into each model named is copied into an archive.

    [bold]Examples[/bold]

      casewise models
      casewise models /srv/models --json
      casewise models nnUNet_results/Dataset004_Hippocampus --into my-archive

    Read on in docs/how-to/bring-your-own-model.md.
    """
    with answering(as_json) as answer:
        if into is not None:
            made = [_copied(str(model), into) for model in folders or ()]
            answer.give(made, *map(_line, made))
            return
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


def _copied(name: str, archive: str) -> dict[str, object]:
    """The model, copied into the archive's folder and entered in its catalogue."""
    from casewise.archive import Archive
    from casewise.models import load
    from casewise.models.listing import describe_model, model_folder
    from casewise.training.from_archive import save_registered

    with Archive.open(archive) as opened:
        model = load(name, archive=opened)
        folder = model_folder(opened.folder, re.sub(r"[^A-Za-z0-9_-]+", "_", model.name))
    if warning := save_registered(model, folder, archive):
        say(warning)
    return describe_model(folder)


def _line(model: dict[str, object]) -> str:
    labels = ", ".join(str(label) for label in model["labels"])  # type: ignore[attr-defined]
    origin = f", from {model['parent']}" if model["parent"] else ""
    use = "; research only" if model["research_only"] else ""
    return f"{model['name']}  {model['task']}: {labels or 'any image'}{origin}; {model['trained_on']} cases{use}  {model['path']}"
