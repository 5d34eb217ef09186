"""Libraries that quote the values of data sets, kept silent: a patient's name belongs in no log."""

from __future__ import annotations

import logging
import warnings
from contextlib import AbstractContextManager

from casewise.formats.dicom import quiet as libraries

_LIBRARIES = (*libraries.LIBRARIES, "pynetdicom", "dicomweb_client", "urllib3", "retrying")


def silence() -> None:
    """No log and no warning of theirs from now on in this process, in whichever thread."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?$")


def quiet() -> AbstractContextManager[None]:
    """No log of theirs and no warning within the block; their logs stay off after it."""
    return libraries.quiet(_LIBRARIES)
