"""Does refining on similar cases help? ``python -m benchmarks.similar_cases`` runs what is not there yet, then writes the table.

Every site or group is taken as the new one in turn; queries are parted by patient; each row is measured for every seed.
Interrupted, it goes on where it was (``--work``). ``--tuning`` runs the queries by which settings and the rule were chosen; the
table never uses them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable
from multiprocessing.pool import Pool
from pathlib import Path

Job = tuple[str, str, Path, bool, bool]


def run(job: Job) -> str:
    """One unit, in a process of its own."""
    from benchmarks._similar_runs import SEEDS, Unit

    task, new, work, tuning, initial = job
    began = time.perf_counter()
    unit = Unit(task, new, work, tuning)
    unit.work.mkdir(parents=True, exist_ok=True)
    if initial:
        for seed in SEEDS:
            unit.initial(seed)
    else:
        unit.run()
    return f"{task} {new}: {time.perf_counter() - began:.0f} s"


def run_votes(job: Job) -> str:
    """The votes of one unit, whose initial models are there already."""
    from benchmarks import _similar_vote

    task, new, work, tuning, _ = job
    began = time.perf_counter()
    _similar_vote.run(task, new, work, tuning)
    return f"{task} {new}: {time.perf_counter() - began:.0f} s"


def run_joined(job: Job) -> str:
    """Refinement by the rule with the vote on top; needs the initial models."""
    from benchmarks import _similar_joined

    task, new, work, tuning, _ = job
    began = time.perf_counter()
    _similar_joined.run(task, new, work, tuning)
    return f"{task} {new}: {time.perf_counter() - began:.0f} s"


def _do(pool: Pool, work: Callable[[Job], str], units: Iterable[tuple[str, str]], options: argparse.Namespace) -> None:
    chosen = [unit for unit in units if not options.only or "-".join(unit) in options.only]
    jobs = [(task, new, options.work, options.tuning, options.initial) for task, new in chosen]
    for line in pool.imap_unordered(work, jobs, chunksize=1):
        sys.stderr.write(line + "\n")


def main() -> None:
    from benchmarks._similar_runs import UNITS
    from benchmarks._similar_vote import UNITS as VOTED

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".work/similar_cases"))
    parser.add_argument("--tuning", action="store_true", help="run the tuning queries instead of the test")
    parser.add_argument("--initial", action="store_true", help="only train the initial models")
    parser.add_argument("--only", nargs="*", default=[], help="units, as task-new")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--report", action="store_true", help="only write the table from what is there")
    parser.add_argument("--part", choices=["refinements", "votes", "joined"], help="only these rows")
    options = parser.parse_args()
    if not options.report:
        with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
            chosen = [name for name in ("refinements", "votes", "joined") if options.part in (None, name)]
            if "refinements" in chosen or options.initial:
                _do(pool, run, UNITS, options)
            if "votes" in chosen and not options.initial:
                _do(pool, run_votes, VOTED, options)
            if "joined" in chosen and not options.initial:
                _do(pool, run_joined, VOTED, options)
    if not options.initial and not options.tuning:
        from benchmarks._similar_table import write

        write(options.work, Path("benchmarks/results"))


if __name__ == "__main__":
    main()
