"""The analyzer that stays in a worker's memory, with the models and processes that it needs, from one job to the next."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from casewise.applications.of_archive import declared_files, registry_of, stamp
from casewise.applications.runner import Runner
from casewise.archive.nameless import NamelessArchive
from casewise.pipeline.analyzer import Analyzer
from casewise.pipeline.call import open_analyzer
from casewise.progress import Progress, silent

_IDLE_SECONDS = 60.0  # after the last job; then its memory is given back
# The same where scanners send: a film that comes after a pause is to be answered within seconds, and a cold start takes them.
_NETWORK_IDLE_SECONDS = 12 * 3600.0
_OLDEST_SECONDS = 600.0  # then it is made anew: what it knows of the archive's cases is as old as itself


@dataclass(frozen=True)
class Options:
    """As of :func:`casewise.analyze`; None for its own choice."""

    application: str | None = None
    model: str | None = None
    adapt: str | None = None


class KeptAnalyzer:
    """At most one analyzer, used by one job at a time. The processes of its applications outlive it: they know nothing of the
    archive, of rules and of models.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._analyzer: Analyzer | None = None
        self._of: object = None
        self._runner: Runner | None = None
        self._made = 0.0
        self._progress: Progress = silent
        self._timer: threading.Timer | None = None
        self._networked = False  # whether one of its jobs was of images from the network

    @contextmanager
    def analyzer(self, folder: Path, options: Options, progress: Progress, *, networked: bool = False) -> Iterator[Analyzer]:
        """An analyzer with the archive of ``folder``, its applications and rules as their files are now; where the block raises, it
        is given up with what it has under way. networked : whether it is for images from the network, for which it is kept longer.
        Raises UsageError for a mistake in these files.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            wanted = (folder, options, stamp(folder))
            if self._analyzer is None or self._of != wanted or time.monotonic() - self._made > _OLDEST_SECONDS:
                self._give_up()
                self._make(folder, options)
                self._of = wanted
            self._progress = progress
            try:
                if self._analyzer is not None:
                    yield self._analyzer
            except BaseException:
                self._close()
                raise
            finally:
                self._progress = silent
            self._networked = self._networked or networked
            self._timer = threading.Timer(_NETWORK_IDLE_SECONDS if self._networked else _IDLE_SECONDS, self.close)
            self._timer.daemon = True
            self._timer.start()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _make(self, folder: Path, options: Options) -> None:
        workers = max(1, (os.cpu_count() or 1) // 2)  # the others are for the sessions
        self._runner = self._runner or Runner(workers)

        def report(step: str, done: int, total: int | None = None, note: str = "", /) -> None:
            self._progress(step, done, total, note)

        with ExitStack() as stack:
            archive = stack.enter_context(NamelessArchive.open(folder))
            registry = registry_of(folder)
            opening = open_analyzer(
                model=options.model,
                archive=archive,
                adapt=options.adapt,
                application=options.application,
                registry=registry,
                runner=self._runner,
                progress=report,
            )
            analyzer = stack.enter_context(stack.enter_context(opening))
            if analyzer.router is not None and declared_files(folder):
                registry.check_categories(analyzer.router.categories)
            self._analyzer, self._stack = analyzer, stack.pop_all()
        self._made = time.monotonic()

    def _give_up(self) -> None:
        self._analyzer = self._of = None
        self._stack.close()

    def _close(self) -> None:
        self._give_up()
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        self._networked = False


KEPT = KeptAnalyzer()
