"""Libraries that quote the values of data sets, kept silent: a patient's name belongs in no log."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("pydicom", "pynetdicom", "highdicom", "dicomweb_client", "urllib3", "retrying")


def silence() -> None:
    """No log and no warning of theirs from now on in this process, in whichever thread."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=rf"{name}(\..*)?$")


@contextmanager
def quiet() -> Iterator[None]:
    """No log and no warning of theirs within the block; their logs stay off after it."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
