"""Several sites, one after another: ``python -m benchmarks.sites`` runs what is not there yet, then writes ``results/sites.md``.

Lungs over JSRT, Shenzhen and Montgomery, brain lesions over Pennsylvania, Shanghai and Ljubljana; each site in each place. Units
that are finished are kept in ``--work``; ``--seconds`` ends the call after the first unit that is finished later.
"""

from __future__ import annotations

from benchmarks._sites_runs import run, units
from benchmarks._sites_table import write
from benchmarks.driver import run_units

if __name__ == "__main__":
    run_units(__doc__, ".work/sites", units(), run, write)
