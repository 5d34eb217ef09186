"""Abnormality by synthesis: ``python -m benchmarks.abnormality`` trains what is not there and writes ``results/abnormality.md``.

FLAIR slices with lesions against slices without, by a generator, a discriminator and an autoencoder that saw lesion-free slices of
other patients alone; tuberculosis against normal chests by the normal ones of another site. Finished units are kept in ``--work``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path


def main() -> None:
    from benchmarks._abnormality_runs import UNITS, run

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".work/abnormality"))
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no unit after so many")
    parser.add_argument("--report", action="store_true", help="only write the table from what is there")
    options = parser.parse_args()
    began = time.perf_counter()
    for unit in UNITS:
        if options.report or time.perf_counter() - began > options.seconds:
            break
        run(unit, options.work)
        sys.stderr.write(f"{unit.name}: {time.perf_counter() - began:.0f} s\n")
        sys.stderr.flush()
    else:
        options.report = True
    if options.report:
        from benchmarks._abnormality_table import write

        write(options.work, Path("benchmarks/results"))


if __name__ == "__main__":
    main()
