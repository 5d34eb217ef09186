"""What the sub-commands of ``casewise train`` share: their options, and what is checked before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from casewise.cli.common import check_new_folder, say
from casewise.cli.options import option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casewise.case import Case
    from casewise.models import Model
    from casewise.training import Settings

_NAMED = 10  # left-out images that are named
KEPT = "The last checkpoint is kept; run the same command again to go on from it."

_OUTPUT = "Folder of the new model; it must not exist yet."
_SIZE = "Edge of the network's input in pixels (with --from: its own)."

OutputOption = Annotated[Path, option("--output", "-o", metavar="DIR", help=_OUTPUT)]
FromOption = Annotated[str | None, option("--from", metavar="MODEL", help="Continue this model instead of starting anew.")]
StepsOption = Annotated[int | None, option("--steps", metavar="N", help="Optimiser steps.", default="800", min=1)]
SizeOption = Annotated[int, option("--size", metavar="N", help=_SIZE, default=True, min=16, max=1024)]
DimensionsOption = Annotated[
    int,
    option("--dimensions", metavar="2|3", help="2 takes a volume slice by slice, 3 as a whole.", default=True, min=2, max=3),
]
WindowOption = Annotated[
    tuple[float, float] | None,
    option("--window", metavar="LOWER UPPER", help="Intensities that matter (CT: in HU).", default="each image's own"),
]


def say_left_out(sentences: Sequence[str]) -> None:
    """Name the images that are left out, as far as anyone would read on."""
    for sentence in sentences[:_NAMED]:
        say(sentence)
    if len(sentences) > _NAMED:
        say(f"{len(sentences) - _NAMED} more images were left out for the like reasons.")


def measure_lines(measures: Mapping[str, float]) -> list[str]:
    """A line for each measure, for a person."""
    return [f"  {name.replace('_', ' ')}: {value:.4g}" for name, value in measures.items()]


@dataclass(frozen=True)
class Job:
    """What every training needs, checked before the first step: half an hour's training must not end in a refusal."""

    archive: str
    output: Path
    parent_path: str | None
    sites: list[str]
    steps: int | None
    device: str
    seed: int

    @property
    def checkpoint(self) -> Path:
        return self.output.parent / f".{self.output.name}.checkpoint"

    def cases(self) -> list[Case]:
        from casewise.archive import Archive
        from casewise.training.from_archive import cases_of_sites

        check_new_folder(self.output)
        with Archive.open(self.archive) as opened:
            return cases_of_sites(opened, self.sites)

    def parent(self) -> Model | None:
        from casewise.models import load

        return load(self.parent_path) if self.parent_path else None

    def settings(self) -> Settings:
        from casewise.device import resolve_device
        from casewise.training import Settings

        settings = Settings(seed=self.seed, device=resolve_device(self.device))
        return settings if self.steps is None else replace(settings, steps=self.steps)
