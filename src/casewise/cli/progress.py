"""Progress bars on a terminal's stderr; silence where stderr is a file or a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bars:
    """One bar a step: draws or moves the bar of that name (a :class:`casewise.progress.Progress`)."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> Bars:
        return self

    def __call__(self, step: str, done: int, total: int | None = None, note: str = "") -> None:
        if not self._terminal:
            return
        progress = self._start()
        if step not in self._tasks:
            self._tasks[step] = progress.add_task(step, total=total, note=note)
        elif done < self._done[step]:  # the next image's: the time that is left is reckoned anew
            progress.reset(self._tasks[step], total=total)
        self._done[step] = done
        progress.update(self._tasks[step], completed=done, total=total, note=note)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _start(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self._progress
