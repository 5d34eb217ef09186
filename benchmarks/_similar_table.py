"""Tables of ``similar_cases``: means by patient, intervals, paired tests, losses, seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from benchmarks.tables import shared, table
from casewise.adaptation.acceptance import HALFWAY
from casewise.statistics import auc, interval, paired_bootstrap, paired_p
from experiments.splits import by_patient

Row = dict
OURS = "casewise analyze"


def label(row: Mapping) -> str:
    """A row's name in the table: what was done, and how far the refined weights were followed."""
    share = row.get("share")
    return row["row"] if share is None else f"{row['row']}, {'all the way' if share == 1 else 'halfway'}"


def with_ours(rows: list[Row]) -> list[Row]:
    """The rows, and which of them is what ``casewise analyze`` does with a segmenter by default."""
    ours = [
        {**row, "row": OURS}
        for row in rows
        if (row["archive"], row["row"]) == ("known", "vote of similar") or row["row"] == "refined by the rule, with the vote"
    ]
    return rows + ours


def _query(row: Mapping) -> tuple:
    return (row["task"], row["new"], row["seed"], row["query"])


def unit_table(task: str, rows: list[Row]) -> str:
    initial = [row for row in rows if row["row"] == "initial model"]
    start = by_patient(initial, "value", "subject")
    patients = sorted(start)
    hard = sorted(patients, key=lambda patient: start[patient])[: max(1, len(patients) // 4)]
    names = list(dict.fromkeys((row["archive"], label(row)) for row in rows))
    lines = []
    for archive, name in sorted(names, key=lambda pair: _order(*pair)):
        chosen = [row for row in rows if (row["archive"], label(row)) == (archive, name)]
        if {row["subject"] for row in chosen} != set(patients):
            continue  # not measured on all of them
        rival = [row for row in rows if row["archive"] == archive and label(row) == _rival(name)]
        figure = _auc_figure(chosen, initial, rival) if task == "tuberculosis" else _dice_figure(chosen, initial, rival, hard)
        seconds = [row["seconds"] for row in chosen if "seconds" in row]
        figure["seconds"] = float(np.median(seconds)) if seconds else None
        lines.append([archive, name, *_cells(figure)])
    head = ["archive", "row", "mean", "95 %", "p to initial", "p to random", "worst", "hardest", "s"]
    return f"{len(patients)} patients, {len({row['query'] for row in rows})} images.\n\n{table(head, lines)}"


def _rival(name: str) -> str:
    """The row of random cases that a row is compared with."""
    if name.startswith("vote"):
        return "vote of random"
    return "random, all the way" if "all the way" in name else "random, halfway"


def _order(archive: str, name: str) -> tuple:
    known = archive != "known"
    size = int(archive.split()[-1]) if known else 0
    first = {"initial model": 0, "average of the seeds": 1}.get(name, 2)
    return (size, first, name)


def _dice_figure(chosen: list[Row], initial: list[Row], rival: list[Row], hard: list[str]) -> dict:
    mine, start, other = (by_patient(rows, "value", "subject") for rows in (chosen, initial, rival))
    values = [mine[patient] for patient in sorted(start)]
    single = {(row["query"], row["seed"]): row["value"] for row in initial}
    low, high = interval(values)
    return {
        "mean": float(np.mean(values)),
        "low": low,
        "high": high,
        "p_initial": paired_p(*shared(mine, start)),
        "p_random": paired_p(*shared(mine, other)) if other else None,
        "worst": min(row["value"] - single[row["query"], row["seed"]] for row in chosen),
        "hardest": float(np.mean([mine[patient] for patient in hard])),
    }


def _auc_figure(chosen: list[Row], initial: list[Row], rival: list[Row]) -> dict:
    mine, start, other = _scores(chosen), _scores(initial), _scores(rival)
    truth = np.array([row["truth"] == "tuberculosis" for row in {row["query"]: row for row in chosen}.values()])
    queries = list({row["query"]: row for row in chosen})

    def area(table: Mapping[tuple[str, int], float], drawn: np.ndarray) -> float:
        seeds = sorted({seed for _, seed in table})
        return float(np.mean([auc([table[queries[n], seed] for n in drawn], truth[drawn]) for seed in seeds]))

    everyone = np.arange(len(queries))

    def difference(table: Mapping[tuple[str, int], float], drawn: np.ndarray) -> float:
        return area(mine, drawn) - area(table, drawn)

    count = len(queries)
    low, high, _ = paired_bootstrap(lambda drawn: area(mine, drawn), count)
    return {
        "mean": area(mine, everyone),
        "low": low,
        "high": high,
        "p_initial": paired_bootstrap(lambda drawn: difference(start, drawn), count)[2],
        "p_random": paired_bootstrap(lambda drawn: difference(other, drawn), count)[2] if other else None,
        "worst": None,
        "hardest": None,
    }


def _scores(rows: Iterable[Row]) -> dict[tuple[str, int], float]:
    return {(row["query"], row["seed"]): row["value"] for row in rows}


def _cells(figure: Mapping) -> list[str]:
    def cell(name: str, form: str = ".3f") -> str:
        return "–" if figure[name] is None else format(figure[name], form)

    forms = {"p_initial": ".1g", "p_random": ".1g", "worst": "+.3f", "hardest": ".3f", "seconds": ".1f"}
    return [cell("mean"), f"{cell('low')}–{cell('high')}", *(cell(name, form) for name, form in forms.items())]


def rule_table(rows: list[Row]) -> str:
    """How the rule does on segmentation: what it chooses, what it gains, and how many images lose more than 0.01."""
    ruled = [row for row in rows if row["row"] == OURS]
    starts = {_query(row): row["value"] for row in rows if row["row"] == "initial model"}
    lines = []
    for key in dict.fromkeys((row["task"], row["new"], row["archive"]) for row in ruled):
        chosen = [row for row in ruled if (row["task"], row["new"], row["archive"]) == key]
        lines.append([f"{key[0]}, {key[1]}", key[2], *_rule_cells(chosen, starts)])
    lines.append(["**all**", "", *_rule_cells(ruled, starts)])
    head = ["task, new", "archive", "images × seeds", "parent, halfway, all", "with vote", "mean gain", "worst"]
    return table([*head, "lose more than 0.01"], lines)


def _rule_cells(chosen: list[Row], starts: Mapping[tuple, float]) -> list[object]:
    gains = np.array([row["value"] - starts[_query(row)] for row in chosen])
    ways = [row.get("followed", 0.0) for row in chosen]
    counts = ", ".join(f"{ways.count(share) / len(ways):.0%}" for share in (0.0, HALFWAY, 1.0))
    voted = np.mean([row["used"] for row in chosen])
    lost = np.mean(gains < -0.01)
    return [len(gains), counts, f"{voted:.0%}", f"{gains.mean():+.4f}", f"{gains.min():+.3f}", f"{lost:.1%}"]
