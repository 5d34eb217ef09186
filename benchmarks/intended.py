"""Whom the shipped applications refuse: ``python -m benchmarks.intended`` writes ``benchmarks/results/intended.md`` and ``.json``.

Own images are measured without their group (site or patient) in the bank; foreign ones by the shipped threshold, which was set so
that about 1 % of foreign images at most are accepted.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from casewise.applications.intended import Intended
from casewise.models.shipped import FOLDER
from experiments.intended.distances import KINDS, distances, left_out
from experiments.intended.images import foreign, own

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    rows: dict[str, dict[str, dict[str, list[tuple[str, float]]]]] = {}
    lines = []
    for kind in KINDS:
        check = Intended.load(FOLDER / kind.models[0])
        if check is None:
            continue
        apart = left_out(own(kind.name, kind.features), kind.every)
        far = [(image, distances(check.bank, image.features, False)[0]) for image in foreign(kind.name)]
        for side, found in (("own", apart), ("foreign", far)):
            for image, distance in found:
                by_source = rows.setdefault(kind.name, {}).setdefault(side, {})
                by_source.setdefault(image.source, []).append((Path(image.name).name, round(distance, 4)))
        refused = sum(distance > check.threshold for _, distance in apart)
        taken = Counter(image.source for image, distance in far if distance <= check.threshold)
        named = ", ".join(f"{source} {count}" for source, count in taken.most_common()) or "none"
        lines.append(
            f"| {kind.what} | {', '.join(kind.models)} | {check.threshold:.4f} | {share(refused, len(apart))} | "
            f"{share(sum(taken.values()), len(far))} | {named} |"
        )
    (RESULTS / "intended.json").write_text(json.dumps(rows, separators=(",", ":")) + "\n", encoding="utf-8")
    (RESULTS / "intended.md").write_text(PAGE + "\n".join(lines) + "\n", encoding="utf-8")


def share(count: int, of: int) -> str:
    """A count with its share and the 95 % interval (Wilson)."""
    z, p = 1.96, count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{count} of {of} ({100 * p:.1f} %, {100 * max(0.0, middle - half):.1f} to {100 * (middle + half):.1f})"


PAGE = """# Which images the shipped applications refuse

`python -m benchmarks.intended`; each image's distance stands in [intended.json](intended.json).

- *Own refused*: images of the model's own training, each measured without its site (chest) or patient; of brains, every five
  neighbouring slices.
- *Foreign accepted*: images of every other kind at hand, and noise and drawn shapes. The threshold was set on them, so that images
  of kinds that are not among them may be accepted more often.

Brains are looked at further, for a skull, size and texture, which is not counted here.

| for | models | threshold | own refused (95 % interval) | foreign accepted (95 % interval) | which |
|---|---|---|---|---|---|
"""

if __name__ == "__main__":
    main()
