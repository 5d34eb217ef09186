"""What the sub-commands of ``casewise train`` share: their options, and what is checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from casewise.cli.common import Device, check_new_folder, say
from casewise.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casewise.archive import Archive
    from casewise.case import Case
    from casewise.models import Model
    from casewise.training import Settings

_SPOKEN = 10  # left-out images that are named
KEPT = "The last checkpoint is kept; run the same command again to go on from it."

ArchiveArgument = Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive's folder.", show_default=False)]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder of the new model; it must not exist yet.", show_default=False),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="MODEL", help="Continue this model instead of starting anew.", show_default=False),
]
StepsOption = Annotated[
    int | None,
    typer.Option("--steps", min=1, metavar="N", help="Optimiser steps.", show_default="800"),
]
SizeOption = Annotated[
    int,
    typer.Option("--size", min=16, max=1024, metavar="N", help="Edge of the network's input in pixels (with --from: its own)."),
]
DimensionsOption = Annotated[
    int,
    typer.Option(
        "--dimensions",
        min=2,
        max=3,
        metavar="2|3",
        help="2 takes a volume slice by slice, 3 as a whole.",
    ),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        metavar="LOWER UPPER",
        help="Intensities that matter (CT: in HU).",
        show_default="each image's own",
    ),
]
SiteOption = Annotated[
    list[str] | None,
    typer.Option("--site", metavar="NAME", help="Only cases of this site; may be repeated.", show_default="all sites"),
]


def cases_of(archive: Archive, sites: Sequence[str]) -> list[Case]:
    """The archive's cases of these sites, all of them where none is named. Raises UsageError for a site that it does not have."""
    cases = archive.cases()
    known = sorted({case.site for case in cases if case.site})
    for site in sites:
        if site not in known:
            msg = f"The archive has no cases of site {site!r}; its sites are {', '.join(known) or 'not named'}."
            raise UsageError(msg)
    return [case for case in cases if not sites or case.site in sites]


def tell_left_out(sentences: Sequence[str]) -> None:
    """Name the images that are left out, as far as anyone would read on."""
    for sentence in sentences[:_SPOKEN]:
        say(sentence)
    if len(sentences) > _SPOKEN:
        say(f"{len(sentences) - _SPOKEN} more images were left out for the like reasons.")


@dataclass(frozen=True)
class Job:
    """What every training needs, checked before the first step: half an hour's training must not end in a refusal."""

    archive: str
    output: Path
    parent_path: str | None
    sites: list[str]
    steps: int | None
    device: Device
    seed: int

    @property
    def checkpoint(self) -> Path:
        return self.output.parent / f".{self.output.name}.checkpoint"

    def cases(self) -> list[Case]:
        from casewise.archive import Archive

        check_new_folder(self.output)
        with Archive.open(self.archive) as opened:
            return cases_of(opened, self.sites)

    def parent(self) -> Model | None:
        from casewise.models import load

        return load(self.parent_path) if self.parent_path else None

    def settings(self) -> Settings:
        from casewise.device import resolve_device
        from casewise.training import Settings

        settings = Settings(seed=self.seed, device=resolve_device(self.device.value))
        return settings if self.steps is None else replace(settings, steps=self.steps)
