"""Several sites, one after another: ``python -m benchmarks.sites`` runs what is not there yet, then writes ``results/sites.md``.

Lungs over JSRT, Shenzhen and Montgomery, brain lesions over Pennsylvania, Shanghai and Ljubljana; each site in each place. Units
that are finished are kept in ``--work``; ``--seconds`` ends the call after the first unit that is finished later.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path


def main() -> None:
    from benchmarks._sites_runs import run, units

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".work/sites"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after the unit that is then at work")
    parser.add_argument("--report", action="store_true", help="only write the table from what is there")
    options = parser.parse_args()
    began = time.perf_counter()
    for unit in units():
        if options.report or time.perf_counter() - began > options.seconds:
            break
        run(unit, options.work)
        sys.stderr.write(f"{unit.name}: {time.perf_counter() - began:.0f} s\n")
        sys.stderr.flush()
    else:
        options.report = True
    if options.report:
        from benchmarks._sites_table import write

        write(options.work, Path("benchmarks/results"))


if __name__ == "__main__":
    main()
