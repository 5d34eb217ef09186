"""pydicom and highdicom kept silent: what they log and warn of quotes values of the header, the patient's name among them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LIBRARIES = ("pydicom", "highdicom")


@contextmanager
def quiet(libraries: Sequence[str] = LIBRARIES) -> Iterator[None]:
    """No log of these and no warning within the block; their logs stay off after it."""
    for name in libraries:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
