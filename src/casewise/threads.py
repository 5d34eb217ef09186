"""How many threads arithmetic takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# In the environment of a process that is started, one thread of arithmetic for as long as it lives.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@contextmanager
def one_thread() -> Iterator[None]:
    """Arithmetic of torch and NumPy in one thread, for as long as this lasts and for the whole process.

    For work that is done before a second thread is awake: threads that wait for their share spin, and take a core from whoever
    else could use it.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


def keep_to_one() -> None:
    """One thread of arithmetic for this process from now on: for libraries that are loaded, and for those that will be."""
    from threadpoolctl import ThreadpoolController

    os.environ.update(ONE_THREAD)
    ThreadpoolController().limit(limits=1)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@cache
def _libraries() -> Any:
    """Looked for once: it takes milliseconds, and the libraries of NumPy and torch are loaded by then."""
    import numpy as np  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
