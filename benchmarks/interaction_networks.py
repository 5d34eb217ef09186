"""Interactive networks beside each other, after the same training.

Each is trained from nothing for the same processor time, then measured as the shipped models are (``benchmarks.interaction``),
pictures on the heart's MR and volumes on the hippocampus. A training that was stopped goes on.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from benchmarks import driver
from benchmarks._interaction_networks import NETWORKS, Network, trained
from benchmarks._interaction_table import Row, differences, methods_table, titled
from benchmarks.tables import table
from experiments import store
from experiments.interaction.measure import OURS, measure
from experiments.interaction.tasks import heart, hippocampi

TUNED = "fine-tuning as in the source"
GROUPS = {2: "heart", 3: "hippocampus"}
TASKS = {"heart": partial(heart, 8, middle_alone=True), "hippocampus": hippocampi}
TITLES = {2: "Pictures: short-axis heart MR (ACDC), the middle slices", 3: "Volumes: hippocampus, T1"}
_NARROW = "PC-Net with the source's 64 channels takes 5.5 s a step, so that eighteen steps were all there is time for: it has 16.\n"
_TUNED = """### P-Net with its last block tuned, as in the source

The source's own use of P-Net: the last block tuned on the image after the box (unsupervised) and after each stroke
(supervised), labels and network in turn. Unlike there, the network sees the strokes as well. Where it is tuned, the picture is
seen once, not mirrored and turned too.
"""


def units(options: Namespace) -> Iterator[driver.Unit]:
    for network in NETWORKS:
        yield driver.Unit(f"{network.name} trained", partial(training, network))
        yield driver.Unit(f"{network.name} measured", partial(measured, network))


def training(network: Network) -> dict[str, Any]:
    one = trained(network, store.WORK / "interaction_networks" / network.name)
    return {"steps": one.steps, "seconds": one.seconds, "weights": sum(tensor.numel() for tensor in one.model.weights.values())}


def measured(network: Network) -> list[Row]:
    """Rows of a network; P-Net's also with its last block tuned."""
    model = trained(network, store.WORK / "interaction_networks" / network.name).model
    wanted = (OURS, TUNED) if network.settings["kind"] == "p_net" else (OURS,)
    return measure(model, (GROUPS[network.dims],), wanted, TASKS)


def figures(units: driver.Rows) -> Mapping[str, Any]:
    parts = [_part(dims, title, units) for dims, title in TITLES.items()]
    head = ["network", "axes", "weights", "steps", "batch", "rate", "seconds of training", "given"]
    lines = []
    for network in NETWORKS:
        one = units[f"{network.name} trained"]
        about = [network.title, network.dims, f"{one['weights']:,}", one["steps"], network.batch, network.rate]
        lines.append([*about, f"{one['seconds']:.0f}", f"{network.seconds:.0f}"])
    return {"trainings": table(head, lines), "parts": "\n".join(parts)}


def _part(dims: int, title: str, units: driver.Rows) -> str:
    of_it = [network for network in NETWORKS if network.dims == dims]
    rows = []
    for network in of_it:
        names = {OURS: network.title, TUNED: f"{network.title}, tuned"}
        rows += [row | {"method": names[row["method"]]} for row in units[f"{network.name} measured"]]
    tuned = {row["task"] for row in rows if row["method"].endswith("tuned")}
    plain, first = [row for row in rows if not row["method"].endswith("tuned")], of_it[0].title
    parts = [f"## {title}, none in the training\n", *([_NARROW] if dims == 3 else []), *_compared(plain, first)]
    structures = list(dict.fromkeys(row["structure"] for row in plain))
    for structure in structures if len(structures) > 1 else ():
        chosen = [row for row in plain if row["structure"] == structure]
        parts += [f"### {titled(structure)}\n", *_compared(chosen, first)]
    if tuned:
        parts += [_TUNED, f"{methods_table([row for row in rows if row['task'] in tuned], first)}\n"]
    return "\n".join(parts)


def _compared(rows: list[Row], first: str) -> list[str]:
    return [f"{methods_table(rows, first)}\n", f"{differences(rows, first)}\n"]


BENCHMARK = driver.Benchmark("interaction_networks", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
