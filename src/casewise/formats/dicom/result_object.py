"""What all DICOM objects that casewise makes have in common: equipment, UIDs from their content, how they are built and saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from casewise import __version__
from casewise.errors import CasewiseError
from casewise.files import output
from casewise.formats.dicom.quiet import quiet

EQUIPMENT: dict[str, Any] = {
    "manufacturer": "casewise",
    "manufacturer_model_name": "casewise",
    "software_versions": __version__,
    "device_serial_number": "0",
    "specific_character_set": "ISO_IR 192",
}


def uids_of(identity: Sequence[str]) -> dict[str, Any]:
    """For highdicom: the UIDs of series and instance, the same for the same ``identity`` alone."""
    from pydicom.uid import generate_uid

    return {
        "series_instance_uid": generate_uid(entropy_srcs=["series", *identity]),
        "sop_instance_uid": generate_uid(entropy_srcs=["instance", *identity]),
    }


@contextmanager
def building(what: str) -> Iterator[None]:
    """While highdicom builds ``what``, quietly. Raises CasewiseError for what it cannot build."""
    try:
        with quiet():
            yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        raise CasewiseError(f"The DICOM headers do not hold what {what} must name: {reason}.") from error


def save(built: Any, path: Path, suffix: str) -> Path:
    """Write a finished object beside ``path`` and rename it. Raises CasewiseError where it cannot be written."""
    with output(path, suffix=suffix) as beside, quiet():
        built.save_as(beside, enforce_file_format=True)
    return path
