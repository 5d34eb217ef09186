"""The ``casewise`` command: its commands, and what a user sees when one cannot be done.

Nothing here or in the commands' modules imports torch or another heavy library at the top: ``casewise --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

import casewise
from casewise.cli import (
    analyze,
    applications,
    archive,
    demo,
    evaluate,
    export,
    import_,
    models,
    regions,
    route,
    segment,
    segments,
    serve,
    similar,
    subsets,
    train,
    users,
    work,
)
from casewise.cli.common import DONE, INTERRUPTED, UNUSABLE, StoppedError, forget_stdout, page, say
from casewise.cli.options import flag
from casewise.errors import CasewiseError

HELP = """Medical-image AI that adapts to the case in front of it.

Bring your images and a model. casewise keeps the images in an archive, finds the ones most like a new image, refines the model
on those it has never seen (or picks the model of the subset that the image belongs to), and writes a report that says what was
found, which model answered, and why that one.

[bold]A first session[/bold]

  casewise demo
  casewise import my-archive scans/ --site "Hospital A"
  casewise train segmenter my-archive --structure heart --output heart-model
  casewise similar my-archive new.nii.gz --sheet similar.png
  casewise analyze new.nii.gz --model heart-model --archive my-archive
  casewise serve my-archive --open

Each command explains itself, with examples: [bold]casewise import --help[/bold]. An IMAGE is a file (DICOM, NIfTI, NRRD, MHA,
PNG, JPEG, TIFF, HDF5), or a folder that holds a DICOM series. With [bold]--json[/bold] every command prints one JSON document
on stdout, and everything else on stderr.

[bold]Exit codes[/bold]

    0  done
    1  some inputs failed: each is named with its reason, the others are done
    2  the call cannot be carried out: one sentence says why
  130  stopped with Ctrl-C: one sentence says what is kept

CASEWISE_DEBUG=1 in the environment shows where an error came from. casewise is for research; it is not a medical device.
"""
# In the order in which a person comes to need them.
_COMMANDS: dict[str, Callable[..., None] | typer.Typer] = {
    "demo": demo.demo,
    "import": import_.import_images,
    "archive": archive.archive,
    "train": train.app,
    "evaluate": evaluate.evaluate,
    "similar": similar.similar,
    "subsets": subsets.subsets,
    "route": route.route,
    "analyze": analyze.analyze,
    "regions": regions.regions,
    "segments": segments.segments,
    "segment": segment.segment,
    "users": users.users,
    "audit": users.audit,
    "serve": serve.serve,
    "work": work.work,
    "models": models.models,
    "export": export.export,
    "applications": applications.applications,
}


class _InOrder(TyperGroup):
    """Lists the commands as they are declared."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(_COMMANDS)


app = typer.Typer(
    cls=_InOrder,
    help=page(HELP),
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"casewise {casewise.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, flag("--version", "Show the version.", callback=_show_version, is_eager=True)] = False,
) -> None: ...


for _name, _command in _COMMANDS.items():
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name, help=page(_command.__doc__))(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv[1:]`` by default) and return its exit code; users see a sentence, never a traceback."""
    debug = bool(os.environ.get("CASEWISE_DEBUG"))
    _prepare_streams()
    if not debug:
        warnings.filterwarnings("ignore")
        warnings.filterwarnings("default", module=r"casewise")
    command = typer.main.get_command(app)
    try:
        code = command.main(None if arguments is None else list(arguments), prog_name="casewise", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.stdout.flush()
        return int(code or DONE)
    except BrokenPipeError:
        forget_stdout()
        return DONE
    except KeyboardInterrupt:
        say("Stopped. Nothing that was already finished is lost; run the same command again to go on.")
        return INTERRUPTED
    except StoppedError as stopped:
        say(f"Stopped. {stopped}")
        return INTERRUPTED
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if debug:
            traceback.print_exc()
        if sentence := explain(error):
            say(sentence)
        return UNUSABLE


def explain(error: BaseException) -> str:
    """One or two sentences for whatever went wrong: what it was, and how to mend it; empty where all has been said."""
    if isinstance(error, CasewiseError):
        return str(error)
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "casewise"
        message = error.format_message().replace("Value error, ", "").rstrip(".")
        return f"{message}. See '{where} --help'." if message else ""  # no message: the help itself has been printed
    if isinstance(error, OSError) and error.strerror:
        place = f" {error.filename}" if error.filename else ""
        return f"Cannot use{place}: {error.strerror.lower()}."
    if isinstance(error, MemoryError):
        return "There is not enough memory for this; free some, or use smaller images or a smaller --size."
    if isinstance(error, ModuleNotFoundError):
        return f"The package {error.name} is missing: install it with `pip install {error.name}`, or reinstall casewise."
    kind = type(error).__name__
    return (
        f"casewise met an error it did not expect ({kind}: {error}). Run again with CASEWISE_DEBUG=1 to see where, and report it."
    )


def _prepare_streams() -> None:
    """File names can hold bytes that are no text; they are printed escaped instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
