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
from pathlib import Path


def run(job: tuple[str, str, Path, bool, bool]) -> str:
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


def run_votes(job: tuple[str, str, Path, bool, bool]) -> str:
    """The votes of one unit, whose initial models are there already."""
    from benchmarks import _similar_vote

    task, new, work, tuning, _ = job
    began = time.perf_counter()
    _similar_vote.run(task, new, work, tuning)
    return f"{task} {new}: {time.perf_counter() - began:.0f} s"


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
    parser.add_argument("--votes", action="store_true", help="run the registered votes instead of the refinements")
    options = parser.parse_args()
    units = [unit for unit in (VOTED if options.votes else UNITS) if not options.only or "-".join(unit) in options.only]
    if not options.report:
        jobs = [(task, new, options.work, options.tuning, options.initial) for task, new in units]
        with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=1) as pool:
            for line in pool.imap_unordered(run_votes if options.votes else run, jobs, chunksize=1):
                sys.stderr.write(line + "\n")
    if not options.initial and not options.tuning:
        from benchmarks._similar_table import write

        write(options.work, Path("benchmarks/results"))


if __name__ == "__main__":
    main()
