"""Abnormality by synthesis: ``python -m benchmarks.abnormality`` trains what is not there and writes ``results/abnormality.md``.

FLAIR slices with lesions against slices without, by a generator, a discriminator and an autoencoder that saw lesion-free slices of
other patients alone; tuberculosis against normal chests by the normal ones of another site. Finished units are kept in ``--work``.
"""

from __future__ import annotations

from benchmarks._abnormality_table import write
from benchmarks.driver import run_units
from experiments.abnormality.runs import UNITS, run

if __name__ == "__main__":
    run_units(__doc__, ".work/abnormality", UNITS, run, write)
