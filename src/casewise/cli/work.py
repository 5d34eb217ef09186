"""``casewise work``: a process that does an archive's jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from casewise.cli.common import answering, plural
from casewise.cli.options import ArchiveArgument, JsonOption, flag
from casewise.cli.serve import check_installed


def work(
    archive: ArchiveArgument,
    once: Annotated[bool, flag("--once", "End when no job is due.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Do an archive's jobs (analyses, preparations, trainings, exports), one after the other, until Ctrl-C.

    `casewise serve` starts one by itself. Start more of them for more jobs at once, on this machine or on any other that sees the
    archive's folder at the same place. Each computes in one thread. One that is killed loses nothing: another takes its job over
    within a minute. Ctrl-C and SIGTERM finish the image at hand and give the job back.

    [bold]Examples[/bold]

      casewise work my-archive
      casewise work my-archive --once

    Read on in docs/how-to/serve.md.
    """
    check_installed("work")
    from casewise.threads import ONE_THREAD

    os.environ.update(ONE_THREAD)  # before NumPy is imported
    with answering(as_json) as answer:
        from casewise.server.processes import log_to_stderr
        from casewise.server.worker import work

        log_to_stderr()
        ended = work(Path(archive), once=once)
        counts = ", ".join(f"{number} {state}" for state, number in sorted(ended.items()))
        answer.give(ended, f"{plural(sum(ended.values()), 'job')}{': ' if counts else ''}{counts}.")
