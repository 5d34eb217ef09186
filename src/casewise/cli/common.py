"""What every command shares: its one answer on stdout, and everything else on stderr."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from casewise.cli.progress import Bars
from casewise.errors import UsageError

DONE, SOME_FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130


class StoppedError(Exception):
    """Ctrl-C, with the sentence that says what is kept and how to go on."""


class Answer:
    """What one call answers: a document, the lines a person reads instead of it, and the inputs that failed."""

    def __init__(self, bars: Bars) -> None:
        self.progress = bars
        self.document: object = None
        self.lines: list[str] = []
        self.failures = 0

    def failed(self, path: object, reason: object) -> None:
        """Name an input that could not be done; the call goes on and ends with exit code 1."""
        self.failures += 1
        sentence = str(reason)
        say(sentence if str(path) in sentence else f"{path}: {sentence}")

    def steps(self, name: str) -> Callable[[int, int, float], None]:
        """A training's progress: called with the step, their number and the loss."""
        return lambda step, total, loss: self.progress(name, step, total, f"loss {loss:.3f}")

    def give(self, document: object, *lines: str) -> None:
        """``document`` for --json; ``lines`` for a person."""
        self.document = document
        self.lines.extend(lines)


@contextlib.contextmanager
def answering(as_json: bool, kept: str | Callable[[], str] = "") -> Iterator[Answer]:
    """Run a command's body: it fills the ``Answer``, which is printed on stdout when the body is through.

    Whatever else the body or a library prints goes to stderr. ``kept`` says what Ctrl-C leaves and how to go on; it is called
    when that happens, where it depends on how far the work is.
    An error leaves stdout empty.
    """
    stdout = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr), Bars() as bars:
            answer = Answer(bars)
            yield answer
    except KeyboardInterrupt:
        if kept:
            raise StoppedError(kept if isinstance(kept, str) else kept()) from None
        raise
    try:
        if as_json:
            from casewise.json_safe import dumps

            stdout.write(dumps(answer.document, indent=2) + "\n")
        else:
            stdout.writelines(f"{line}\n" for line in answer.lines)
        stdout.flush()
    except BrokenPipeError:
        forget_stdout()
    if answer.failures:
        raise typer.Exit(SOME_FAILED)


def check_new_folder(folder: Path) -> None:
    """Refuse, before any work, an output folder that exists or cannot be made."""
    if folder.exists():
        msg = f"{folder} exists and is not overwritten; choose another --output."
        raise UsageError(msg)
    check_output_folder(folder)


def check_output_file(file: Path) -> None:
    """Refuse, before any work, a file for output that is a folder, or whose folder cannot be made or written to."""
    if file.is_dir():
        msg = f"{file} is a folder, and the output is one file; add the file's name."
        raise UsageError(msg)
    check_output_folder(file.parent)


def check_output_folder(folder: Path) -> None:
    """Refuse, before any work, a folder for output that cannot be made or written to."""
    whole = folder.absolute()
    nearest = next(place for place in (whole, *whole.parents) if os.path.lexists(place))
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return
    where = "it" if nearest == whole else nearest
    reason = "cannot be written to" if nearest.is_dir() else "is not a folder"
    msg = f"Nothing can be written into {folder}, because {where} {reason}; choose another folder for the output."
    raise UsageError(msg)


def forget_stdout() -> None:
    """The reader of stdout has gone (`| head`): nothing is left to say, and Python must not complain at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(sentence: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def page(text: str | None) -> str:
    """A docstring as help: each paragraph one line, to be wrapped to the terminal's width; indented lines (examples) stay."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(part if part.startswith(" ") else part.replace("\n", " ") for part in paragraphs)


def plural(count: int, noun: str) -> str:
    """``1 image``, ``2 images``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
