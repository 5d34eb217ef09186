"""What the benchmark of irregularities prints: FROC by arm, by subtlety and by size, and the arms compared in pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from casewise.chest.nodules.box_fusion import Detection, noisy_or
from casewise.chest.nodules.froc import RATES, Outcome, Target, outcome, sensitivity, threshold
from casewise.statistics import auc, paired_bootstrap
from experiments.nodules.radiographs import Radiograph

_SUBTLETY = {1: "extremely subtle", 2: "very subtle", 3: "subtle", 4: "relatively obvious", 5: "obvious"}
Found = Mapping[str, Sequence[Detection]]


def outcomes(films: Sequence[Radiograph], found: Found) -> list[Outcome]:
    return [outcome(found[film.name], [Target(t.row, t.column, t.reach) for t in film.nodules]) for film in films]


def froc_table(films: Sequence[Radiograph], arms: Mapping[str, Found]) -> list[str]:
    rates = " | ".join(f"{rate:g}" for rate in RATES)
    lines = [f"| input | {rates} | mean of the four |", "|---|" + "---|" * (len(RATES) + 1)]
    for name, found in arms.items():
        told = outcomes(films, found)
        cells = [_cell(lambda drawn, rate=rate: sensitivity(drawn, rate), told) for rate in RATES]
        lines.append(f"| {name} | " + " | ".join([*cells, _cell(mean_sensitivity, told)]) + " |")
    return lines


def mean_sensitivity(told: Sequence[Outcome]) -> float:
    return float(np.mean([sensitivity(told, rate) for rate in RATES]))


def compared(films: Sequence[Radiograph], arms: Mapping[str, Found], first: str, second: str) -> str:
    one, other = outcomes(films, arms[first]), outcomes(films, arms[second])

    def at(measure: Callable[[Sequence[Outcome]], float]) -> str:
        def difference(drawn: np.ndarray) -> float:
            return measure([one[n] for n in drawn]) - measure([other[n] for n in drawn])

        low, high, p = paired_bootstrap(lambda drawn: np.nan_to_num(difference(drawn)), len(films))
        return f"{difference(np.arange(len(films))):+.3f} ({low:+.3f} to {high:+.3f}), p {p:.3f}"

    cells = [at(lambda drawn, rate=rate: sensitivity(drawn, rate)) for rate in (1.0, 2.0, 4.0)]
    return f"| {first} − {second} | " + " | ".join([*cells, at(mean_sensitivity)]) + " |"


def groups_table(films: Sequence[Radiograph], arms: Mapping[str, Found], rate: float = 2.0) -> list[str]:
    """Hits of those there are, by subtlety and size, at the threshold that gives ``rate`` misses an image."""
    groups: dict[str, Callable[[Radiograph], bool]] = {
        f"subtlety {level}, {name}": (lambda film, level=level: film.nodules[0].subtlety == level)  # type: ignore[misc]
        for level, name in _SUBTLETY.items()
    }
    groups |= {
        "under 15 mm": lambda film: film.nodules[0].diameter_mm < 15,
        "15 mm and over": lambda film: film.nodules[0].diameter_mm >= 15,
    }
    lines = ["| nodules | " + " | ".join(arms) + " |", "|---|" + "---|" * len(arms)]
    for name, belongs in groups.items():
        cells = []
        for found in arms.values():
            told = outcomes(films, found)
            least = threshold(told, rate)
            chosen = [one.hits[0] > least for film, one in zip(films, told, strict=True) if film.nodules and belongs(film)]
            cells.append(f"{sum(chosen)} of {len(chosen)}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _cell(measure: Callable[[Sequence[Outcome]], float], told: Sequence[Outcome]) -> str:
    low, high, _ = paired_bootstrap(lambda drawn: np.nan_to_num(measure([told[n] for n in drawn])), len(told))
    return f"{measure(told):.3f} ({low:.2f} to {high:.2f})"


def image_level(films: Sequence[Radiograph], arms: Mapping[str, Found], most: int = 5) -> list[str]:
    """How well the most probable findings of a film tell whether it has a nodule at all: their highest, and their noisy-or."""
    truth = [bool(film.nodules) for film in films]
    lines = ["| film has a nodule, AUC of | highest probability | noisy-or of the five highest |", "|---|---|---|"]
    for name, found in arms.items():
        chances = [sorted((one.probability for one in found[film.name]), reverse=True)[:most] for film in films]
        cells = [auc([scores[0] for scores in chances], truth), auc([noisy_or(scores) for scores in chances], truth)]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return lines
