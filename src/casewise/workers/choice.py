"""Which workers a command's options ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from casewise.errors import UsageError
from casewise.workers.contract import Workers
from casewise.workers.here import Here
from casewise.workers.processes import Processes

RAY = "ray"


@contextmanager
def chosen(count: int | None = None, on: str | None = None, gpus: float = 0, limit: float | None = None) -> Iterator[Workers]:
    """``count`` processes, or actors on Ray where ``on`` is ``ray`` or ``ray://HOST:PORT``; neither: this process.

    gpus : that each actor is given, or a part of one. limit : seconds that an item may take, where it is not done in this process;
    None: any. Raises UsageError, one sentence, for another ``on`` and where Ray is missing.
    """
    if on is None:
        yield Here() if count is None else Processes(count, limit)
        return
    name, _, address = on.partition("://")
    if name != RAY or (address and ":" not in address) or on.endswith("://"):
        raise UsageError(f"--on {on} is not possible; give ray, or ray://HOST:PORT (usually port 6379) of a cluster's head.")
    try:
        from casewise.workers.on_ray import OnRay
    except ImportError as error:
        raise UsageError("--on ray needs Ray; install it with `pip install 'casewise[ray]'`.") from error
    with closing(OnRay(address or None, count, gpus, limit)) as workers:
        yield workers
