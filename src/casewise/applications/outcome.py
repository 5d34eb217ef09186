"""What is asked of the applications of a route, and what each of them comes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.applications.declared import Declared
from casewise.errors import CasewiseError
from casewise.finding import Finding
from casewise.image import Image

if TYPE_CHECKING:
    from casewise.chest.region import Regions


class ApplicationError(CasewiseError):
    """An application failed, hung, took too much or answered with what is no result; the message is a clause without its name.

    log : the end of its stderr, or a traceback. sound : whether its process can be given the next image.
    """

    log: str = ""
    sound: bool = False


def refused(reason: str) -> ApplicationError:
    """A failure of one image that leaves the application's process sound, to be raised."""
    error = ApplicationError(reason)
    error.sound = True
    return error


@dataclass(frozen=True, eq=False)
class Job:
    """An image and the applications that are to see it.

    path, member : the image's file or folder, as :func:`casewise.formats.read` takes them. image : what it read from there.
    folder : where files that applications write are kept, each application's in a folder of its name; made when there are any.
    category : what the router said the image is. sequences : gives several sequences of the image's examination on its grid, by
    their names, to applications that declare them; None where it is of none. tag : the caller's own; it comes back as it is.
    regions : of a chest radiograph, where the caller has them already, as by a refined model; casewise's own applications then use
    these and outline none themselves.
    """

    path: Path
    image: Image
    applications: tuple[Declared, ...]
    folder: Path
    category: str = "unknown"
    member: str | None = None
    tag: object = None
    sequences: Callable[[Sequence[str]], Image] | None = None
    regions: Regions | None = None

    def for_application(self, declared: Declared) -> Image:
        """What an application is given. Raises ApplicationError where its sequences are not there."""
        if self.sequences is None or not declared.sequences:
            return self.image
        try:
            return self.sequences(declared.sequences)
        except CasewiseError as error:
            raise refused(f"had nothing to see: {error}") from error


@dataclass(frozen=True)
class Done:
    """An application's answer. files : all that it wrote, kept in the job's folder. notes : sentences for the report."""

    application: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "application": self.application,
            "findings": len(self.findings),
            "seconds": self.seconds,
            "files": [str(path) for path in self.files],
            "notes": list(self.notes),
            "failure": None,
        }


@dataclass(frozen=True)
class Failure:
    """An application that gave no answer. reason : one sentence. log : the file with the end of its stderr, if it wrote any."""

    application: str
    reason: str
    seconds: float = 0.0
    log: Path | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "application": self.application,
            "findings": 0,
            "seconds": self.seconds,
            "files": [],
            "notes": [],
            "failure": self.reason,
            "log": str(self.log) if self.log else None,
        }


Outcome = Done | Failure


@dataclass(frozen=True, eq=False)
class JobResult:
    """A job that is through: an outcome for each of its applications, in their order."""

    job: Job
    outcomes: tuple[Outcome, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for outcome in self.outcomes if isinstance(outcome, Done) for finding in outcome.findings)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Failure))

    @property
    def seconds(self) -> Mapping[str, float]:
        return {outcome.application: outcome.seconds for outcome in self.outcomes}
