"""Interactive networks beside each other: ``python -m benchmarks.interaction_networks`` trains, measures, and writes the table.

Each is trained from nothing for the same processor time (``_interaction_networks.py``), then measured as the shipped models are
(``interaction.py``), pictures on the heart's MR and volumes on the hippocampus. Interrupted, it goes on where it was (``--work``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks._interaction_networks import NETWORKS, Network, Trained, trained
from benchmarks._interaction_table import OURS, differences, how_measured, table
from benchmarks.driver import run_units
from benchmarks.interaction import measure
from experiments.interaction.tasks import heart, hippocampi

WORK = ".work/interaction_networks"
TUNED = "fine-tuning as in the source"
GROUPS = {2: "heart", 3: "hippocampus"}
TASKS = {"heart": partial(heart, 8, middle_alone=True), "hippocampus": hippocampi}
TITLES = {2: "Pictures: short-axis heart MR (ACDC), the middle slices", 3: "Volumes: hippocampus, T1"}
_ABOUT = """Each network sees the same prompts beside the image and is trained from nothing with the same simulated user on the
same tasks, in bfloat16, one training each. No heart's MR, no hippocampus, no tumour, no radiograph and no lung was an object.
P-Net (Wang et al. 2018) has the source's 64 channels, and batches of 4 instead of 16, so that it takes steps enough."""
_NARROW = "PC-Net with the source's 64 channels takes 5.5 s a step, so that eighteen steps were all there is time for: it has 16."
_TUNED = """The source's own use of P-Net: the last block tuned on the image after the box (unsupervised) and after each stroke
(supervised), labels and network in turn. Unlike there, the network sees the strokes as well. Where it is tuned, the picture is
seen once, not mirrored and turned too."""


@dataclass(frozen=True)
class Part:
    """Training a network, or measuring it."""

    network: Network
    measured: bool

    @property
    def name(self) -> str:
        return f"{self.network.name} {'measured' if self.measured else 'trained'}"


def main() -> None:
    torch.set_num_threads(1)
    run_units(__doc__, WORK, [Part(network, done) for network in NETWORKS for done in (False, True)], run, write)


def run(part: Part, work: Path) -> None:
    one = trained(part.network, work / part.network.name)
    if part.measured:
        _rows(part.network, one, work)


def _rows(network: Network, one: Trained, work: Path) -> list[dict]:
    """Rows of a network under its own title; P-Net's also with its last block tuned."""
    kept = work / network.name / f"{one.model.key}.json"
    if not kept.exists():
        wanted = (OURS, TUNED) if network.settings["kind"] == "p_net" else (OURS,)
        kept.write_text(json.dumps(measure(one.model, (GROUPS[network.dims],), wanted, work, tasks=TASKS)))
    names = {OURS: network.title, TUNED: f"{network.title}, tuned"}
    return [row | {"method": names[row["method"]]} for row in json.loads(kept.read_text())]


def write(work: Path, results: Path) -> None:
    """``interaction_networks.md`` in ``results``, of the networks that are trained."""
    done = {network: trained(network, work / network.name) for network in NETWORKS if (work / network.name / "model").exists()}
    lines = ["# Interactive networks beside each other, the same training", ""]
    lines += [*how_measured("benchmarks.interaction_networks", "the first network"), _ABOUT, "", *_trainings(done), ""]
    for dims, title in TITLES.items():
        of_it = [network for network in done if network.dims == dims]
        if not of_it:
            continue
        rows = [row for network in of_it for row in _rows(network, done[network], work)]
        tuned = {row["task"] for row in rows if row["method"].endswith("tuned")}
        plain = [row for row in rows if not row["method"].endswith("tuned")]
        first = of_it[0].title
        lines += [f"## {title}, none in the training", "", *([_NARROW, ""] if dims == 3 else [])]
        lines += [*table(plain, first), "", *differences(plain, first), ""]
        structures = list(dict.fromkeys(row["structure"] for row in plain))
        for structure in structures if len(structures) > 1 else ():
            chosen = [row for row in plain if row["structure"] == structure]
            lines += [f"### {structure.replace('_', ' ')}", "", *table(chosen, first), "", *differences(chosen, first), ""]
        if tuned:
            both = [row for row in rows if row["task"] in tuned]
            lines += ["### P-Net with its last block tuned, as in the source", "", _TUNED, "", *table(both, first), ""]
    (results / "interaction_networks.md").write_text("\n".join(lines), encoding="utf-8")


def _trainings(done: dict[Network, Trained]) -> list[str]:
    head = ["network", "axes", "weights", "steps", "batch", "rate", "seconds of training", "given"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for network, one in done.items():
        weights = sum(tensor.numel() for tensor in one.model.weights.values())
        cells = [
            network.title,
            network.dims,
            f"{weights:,}",
            one.steps,
            network.batch,
            network.rate,
            f"{one.seconds:.0f}",
            f"{network.seconds:.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    main()
