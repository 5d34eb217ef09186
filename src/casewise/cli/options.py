"""The options and arguments that several commands have, and how one is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

_FLAG = ""  # the metavar of an option that takes no value
_PANEL = "Options that every command has"


def argument(metavar: str, help: str, default: str | bool = False) -> Any:
    """An argument. default : what the help says is taken where it is not given; False: nothing is said."""
    return typer.Argument(metavar=metavar, help=help, show_default=default)


def option(*names: str, metavar: str | None = None, help: str, default: str | bool = False, **more: Any) -> Any:
    """An option with a value. default : as of :func:`argument`; True: its own value. more : ``min``, ``max``, …"""
    return typer.Option(*names, metavar=metavar, help=help, show_default=default, **more)


def flag(name: str, help: str, **more: Any) -> Any:
    """An option that takes no value."""
    return typer.Option(name, metavar=_FLAG, help=help, show_default=False, **more)


_JSON = "Print one JSON document on stdout, and everything else on stderr."
_DEVICE = "Where networks run; auto takes a GPU where there is one."
_SEED = "The same seed gives the same result."
_DECLARATIONS = "A file that declares applications and rules; may be given several times."
_WORKERS = "Work in so many processes, each on one core."
_ON = "Work on a Ray cluster, or by Ray on this machine; needs casewise[ray]."
_TIMEOUT = "Seconds that an image may take in a worker of --workers or --on, before the worker is ended and the image left out."
_WORKERS_DEFAULT = "this process, on all cores; with --on the cluster's CPUs"
_NAMED_BY_VARIABLE = "those that CASEWISE_APPLICATIONS names"

JsonOption = Annotated[bool, flag("--json", _JSON, rich_help_panel=_PANEL)]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], option("--device", help=_DEVICE, default=True, rich_help_panel=_PANEL)]
SeedOption = Annotated[int, option("--seed", metavar="N", help=_SEED, default=True, min=0, max=2**32 - 1, rich_help_panel=_PANEL)]
ForceOption = Annotated[bool, flag("--force", "Replace files that casewise did not write; never an input.")]

WorkersOption = Annotated[int | None, option("--workers", metavar="N", help=_WORKERS, default=_WORKERS_DEFAULT, min=1)]
OnOption = Annotated[str | None, option("--on", metavar="ray[://HOST:PORT]", help=_ON, default="this machine, without Ray")]

TimeoutOption = Annotated[
    float | None,
    option("--timeout", metavar="SECONDS", help=_TIMEOUT, default="3600; 21600 where models are refined", min=1),
]

ImageArgument = Annotated[Path, argument("IMAGE", "An image file, or the folder of a DICOM series.")]
ImagesArgument = Annotated[list[Path], argument("IMAGE", "Image files, or folders that hold a DICOM series.")]
ArchiveArgument = Annotated[str, argument("ARCHIVE", "The archive's folder.")]
DeclarationsOption = Annotated[
    list[Path] | None, option("--applications", metavar="TOML", help=_DECLARATIONS, default=_NAMED_BY_VARIABLE)
]
SitesOption = Annotated[
    list[str] | None, option("--site", metavar="NAME", help="Only cases of this site; may be repeated.", default="all sites")
]
ResultsOption = Annotated[
    Path, option("--output", "-o", metavar="DIR", help="Folder for the reports, masks and results.", default=True)
]
