"""Which variables of this process an application is given: those that it needs, never all of them, for some are secrets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

PASSED = ("PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "SSL_CERT_FILE")
PASSED_TO_RUNTIMES = ("HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINER_HOST")
# What libraries of Python applications look for, by how the names begin.
OF_LIBRARIES = ("PYTHON*", "TORCH*", "PYTORCH*", "CUDA*", "NVIDIA*", "MONAI*", "nnUNet*", "HF_HOME", "KERAS_HOME", "TF_*")
OF_CONNECTIONS = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_DIR")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_CACHES = ("XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR")


def passed(names: Sequence[str]) -> dict[str, str]:
    """Those of this process's variables that are named, or begin as one that ends in ``*``, and the language's."""
    exact = {name for name in names if not name.endswith("*")}
    begins = ("LC_", *(name[:-1] for name in names if name.endswith("*")))
    return {name: value for name, value in os.environ.items() if name in exact or name.startswith(begins)}


def of_worker(names: Sequence[str], temporary: Path) -> dict[str, str]:
    """A worker's: those named and those that all need; one thread; temporary files and caches in its own folder."""
    places = dict.fromkeys(("TMPDIR", *_CACHES), str(temporary))
    return {**passed((*PASSED, "HOME", *names)), **dict.fromkeys(THREADS, "1"), **places}
