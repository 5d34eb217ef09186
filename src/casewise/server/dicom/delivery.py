"""Queue the sending of a case's results to systems of the network."""

from __future__ import annotations

from collections.abc import Sequence

from casewise.errors import UsageError
from casewise.exchange.settings import FILE, DicomSettings, Kind
from casewise.server.jobs import Jobs

JOB = "deliver"


def queue(
    jobs: Jobs,
    key: str,
    targets: Sequence[str],
    kinds: Sequence[Kind] | None = None,
    result: int | None = None,
    created_by: str | None = None,
    priority: int = 0,
) -> int:
    """The number of a job that makes the objects of a case's result and puts them into the outbox.

    key : of an image from DICOM. targets : names of ``dicom.toml``. kinds : None: as the settings say for such an image. result :
    its number; None: the newest when the job runs. The same again, while that waits or runs, is the same job.
    """
    to, of = sorted(set(targets)), None if kinds is None else sorted(set(kinds))
    same = "-".join([JOB, key, str(result), ",".join(to), ",".join(of or ("as set",))])
    order = {"case": key, "targets": to, "kinds": of, "result": result, "title": "Send results"}
    return jobs.add(JOB, order, unique_key=same, priority=priority, created_by=created_by)


def check_targets(settings: DicomSettings, targets: Sequence[str]) -> None:
    """Raises UsageError where one is not among the settings' systems: results go nowhere else, whoever asks."""
    unknown = [target for target in targets if target not in settings.systems]
    if unknown:
        known = ", ".join(settings.systems) or "none yet"
        msg = f"{unknown[0][:64]!r} is no system of {FILE} ({known}); send to one of these, or add it there."
        raise UsageError(msg)
