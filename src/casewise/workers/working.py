"""A worker's side: how it is set up, and how it answers."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from casewise.errors import CasewiseError
from casewise.threads import keep_to_one
from casewise.workers.contract import Do, Item, Lost, Outcome

_TOGETHER = 0.05  # seconds: outcomes that come closer than this go together
_OURS = "CASEWISE_"  # what variables of casewise begin with
_OF_A_MACHINE = ("CASEWISE_CACHE", "CASEWISE_CACHE_BYTES")  # where copies of objects lie on its own disk


@dataclass(frozen=True)
class Surroundings:
    """What a worker shares with its caller: the folder that relative paths start from, and casewise's own variables; but where
    copies of objects lie, the worker's machine says if it does.
    """

    folder: str
    variables: Mapping[str, str]

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process."""
        return cls(str(Path.cwd()), {name: value for name, value in os.environ.items() if name.startswith(_OURS)})

    def enter(self) -> None:
        """Raises CasewiseError where the folder is not on this machine."""
        keep_to_one()
        own = {name: os.environ[name] for name in _OF_A_MACHINE if name in os.environ}
        os.environ.update({**self.variables, **own})
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise CasewiseError(
                f"The folder {self.folder} is not on {os.uname().nodename} ({error.strerror}); "
                "mount the file system with the images and the results at the same place on every machine."
            ) from error


def answers(do: Do[Item, Outcome], chunk: Sequence[Item]) -> Iterator[tuple[Outcome | Lost, ...]]:
    """The outcomes of a chunk, in order, several at once where they come quickly.

    An item with which ``do`` raises what it should not is named as lost, and the others are done.
    """
    ready: list[Outcome | Lost] = []
    sent = time.monotonic()
    for outcome in _each(do, chunk):
        ready.append(outcome)
        now = time.monotonic()
        if now - sent >= _TOGETHER:
            yield tuple(ready)
            ready, sent = [], now
    if ready:
        yield tuple(ready)


def _each(do: Do[Item, Outcome], chunk: Sequence[Item]) -> Iterator[Outcome | Lost]:
    done = 0
    while done < len(chunk):
        try:
            for outcome in do(chunk[done:]):
                done += 1
                yield outcome
            if done < len(chunk):
                raise RuntimeError("too few outcomes")
        except CasewiseError as error:
            done += 1
            yield Lost(str(error))
        except Exception as error:
            done += 1
            yield Lost(unexpected(error))


def unexpected(error: BaseException) -> str:
    """What happened and where. Not the error's text: one of a DICOM reader may quote a patient's name."""
    if isinstance(error, MemoryError):
        return "There was not enough memory for it; free some, or give fewer or smaller images."
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name}, line {last.lineno}"
    return f"casewise met an error it did not expect ({type(error).__name__} in {place})."
