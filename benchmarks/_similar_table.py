"""From the rows that ``similar_cases.py`` measured to its tables: means by patient, intervals, paired tests, losses, seconds."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from casewise.adaptation.acceptance import HALFWAY, Rule
from casewise.statistics import auc, interval, paired_bootstrap, paired_p

Row = dict
TASKS = {
    "lungs": "Lungs on chest radiographs (Dice)",
    "mixed": "One target a kind of image in a very mixed archive: lungs, left ventricle, hippocampus, brain lesion (Dice)",
    "tuberculosis": "Tuberculosis on chest radiographs (AUC)",
}


def label(row: Mapping) -> str:
    """A row's name in the table: what was done, and how far the refined weights were followed."""
    share = row.get("share")
    return row["row"] if share is None else f"{row['row']}, {'all the way' if share == 1 else 'halfway'}"


OURS = "casewise analyze"


def with_ours(rows: Iterable[Row]) -> list[Row]:
    """The rows, and which of them is what ``casewise analyze`` does with a segmenter by default."""
    rows = list(rows)
    ours = [
        {**row, "row": OURS}
        for row in rows
        if (row["archive"], row["row"]) == ("known", "vote of similar") or row["row"] == "refined by the rule, with the vote"
    ]
    return rows + ours


def _query(row: Mapping) -> tuple:
    return (row["task"], row["new"], row["seed"], row["query"])


def load(work: Path, *names: str) -> list[Row]:
    """The rows of ``tests.jsonl``, ``votes.jsonl`` and ``joined.jsonl`` in every unit's folder, or of the files named."""
    files = [path for name in names or ("tests.jsonl", "votes.jsonl", "joined.jsonl") for path in sorted(work.glob(f"*/{name}"))]
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def write(work: Path, results: Path) -> None:
    """``similar_cases.md`` and ``.json`` in ``results``."""
    rows = with_ours(load(work))
    lines = [
        "# Similar cases: does refining on them help?",
        "",
        "`python -m benchmarks.similar_cases`",
        "",
        _machine(),
        "",
        _PREFACE,
    ]
    summary = {}
    for task, title in TASKS.items():
        units = sorted({row["new"] for row in rows if row["task"] == task})
        if not units:
            continue
        lines += ["", f"## {title}"]
        if task == "lungs":
            table, figures = _unit(task, [row for row in rows if row["task"] == task])
            summary[f"{task}/all sites"] = figures
            lines += ["", "### All three sites together, each as the new one", "", *table]
        for new in units:
            table, figures = _unit(task, [row for row in rows if row["task"] == task and row["new"] == new])
            summary[f"{task}/{new}"] = figures
            what = "nothing is new: the model was trained on cases of every group" if new == "none" else f"**{new}** is new"
            lines += ["", f"### {what}", "", *table]
    lines += ["", "## The rule", "", *rule_lines(rows, Rule())]
    results.mkdir(parents=True, exist_ok=True)
    (results / "similar_cases.md").write_text("\n".join(lines) + "\n")
    (results / "similar_cases.json").write_text(json.dumps(summary, indent=1))


_PREFACE = """\
Each value is the mean over patients of the mean over their images and two seeds, with its 95 % bootstrap interval; p by
Wilcoxon's signed-rank test of patients (AUC: paired bootstrap). *Known*: the archive holds only what the initial model was
trained on; *grown by n*: n cases of the new site or group were added that it never saw. *Halfway*: the mean of the parent's
and the refined model's weights. *Vote*: the labels of 8 cases, each registered to the image, averaged with the initial model's
answer. *Worst*: the largest loss of one image against the initial model. *Hardest*: the quarter of
the patients on whom the initial model is worst; every method gains there by regression to the mean, so compare it with the
average of the seeds and with random cases."""


def _unit(task: str, rows: list[Row]) -> tuple[list[str], dict]:
    start = _by_patient([row for row in rows if row["row"] == "initial model"])
    patients = sorted(start)
    hard = sorted(patients, key=lambda patient: start[patient])[: max(1, len(patients) // 4)]
    names = list(dict.fromkeys((row["archive"], label(row)) for row in rows))
    lines = [
        f"{len(patients)} patients, {len({row['query'] for row in rows})} images.",
        "",
        "| archive | row | mean | 95 % | p to initial | p to random | worst | hardest | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    figures: dict = {}
    for archive, name in sorted(names, key=lambda pair: _order(*pair)):
        chosen = [row for row in rows if (row["archive"], label(row)) == (archive, name)]
        if {row["subject"] for row in chosen} != set(patients):
            continue  # not measured on all of them yet
        rival = [row for row in rows if row["archive"] == archive and label(row) == _rival(name)]
        initial = [row for row in rows if row["row"] == "initial model"]
        figure = (
            _auc_figure(chosen, initial, rival) if task == "tuberculosis" else _dice_figure(chosen, initial, rival, patients, hard)
        )
        seconds = [row["seconds"] for row in chosen if "seconds" in row]
        figure["seconds"] = float(np.median(seconds)) if seconds else None
        figures[f"{archive} | {name}"] = figure
        lines.append(_line(archive, name, figure))
    return lines, figures


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


def _by_patient(rows: Iterable[Row]) -> dict[str, float]:
    values = defaultdict(list)
    for row in rows:
        values[row["subject"]].append(row["value"])
    return {patient: float(np.mean(numbers)) for patient, numbers in values.items()}


def _dice_figure(chosen: list[Row], initial: list[Row], rival: list[Row], patients: list[str], hard: list[str]) -> dict:
    mine, start, other = _by_patient(chosen), _by_patient(initial), _by_patient(rival)
    values = [mine[patient] for patient in patients]
    single = {(row["query"], row["seed"]): row["value"] for row in initial}
    losses = [row["value"] - single[row["query"], row["seed"]] for row in chosen]
    low, high = interval(values)
    return {
        "mean": float(np.mean(values)),
        "low": low,
        "high": high,
        "p_initial": paired_p(values, [start[patient] for patient in patients]),
        "p_random": paired_p(values, [other[patient] for patient in patients]) if other else None,
        "worst": min(losses),
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
        return area(mine, drawn) - area(table, drawn) if 0 < truth[drawn].sum() < len(drawn) else 0.0

    count = len(queries)
    low, high, _ = paired_bootstrap(lambda drawn: area(mine, drawn) if 0 < truth[drawn].sum() < len(drawn) else 0.5, count)
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


def _line(archive: str, name: str, figure: Mapping) -> str:
    def told(value: float | None, form: str = ".3f") -> str:
        return "–" if value is None else format(value, form)

    interval_ = f"{figure['low']:.3f}–{figure['high']:.3f}"
    return (
        f"| {archive} | {name} | {told(figure['mean'])} | {interval_} | {told(figure['p_initial'], '.1g')} "
        f"| {told(figure['p_random'], '.1g')} | {told(figure['worst'], '+.3f')} | {told(figure['hardest'])} "
        f"| {told(figure['seconds'], '.1f')} |"
    )


def rule_lines(rows: list[Row], rule: Rule) -> list[str]:
    """How the rule does on segmentation: what it chooses, what it gains, and how many images lose more than 0.01."""
    ruled = [row for row in rows if row["row"] == OURS]
    starts = {_query(row): row["value"] for row in rows if row["row"] == "initial model"}
    lines = [
        f"With at least {rule.unseen} of the 12 most similar cases new to the model, it is refined on 8 of them and judged on the "
        f"other 4: all the way where that is better than halfway by more than {rule.margin:g} Dice, else halfway; the parent where "
        "neither is better. With fewer new cases it is left alone. The registered labels of the 8 most similar cases are averaged "
        "with the answer where they agree among themselves and fit the image. Classifiers are left alone. All settings were chosen "
        "on the tuning queries (other patients); these are the test's.",
        "",
        "| task, new | archive | images × seeds | parent, halfway, all | with vote | mean gain | worst | lose more than 0.01 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key in dict.fromkeys((row["task"], row["new"], row["archive"]) for row in ruled):
        chosen = [row for row in ruled if (row["task"], row["new"], row["archive"]) == key]
        lines.append(_rule_line(f"{key[0]}, {key[1]} | {key[2]}", chosen, starts))
    if ruled:
        lines.append(_rule_line("**all** |", ruled, starts))
    return lines


def _rule_line(name: str, chosen: list[Row], starts: Mapping[tuple, float]) -> str:
    gains = np.array([row["value"] - starts[_query(row)] for row in chosen])
    ways = [row.get("followed", 0.0) for row in chosen]
    counts = ", ".join(f"{ways.count(share) / len(ways):.0%}" for share in (0.0, HALFWAY, 1.0))
    voted = np.mean([row["used"] for row in chosen])
    lost = np.mean(gains < -0.01)
    return f"| {name} | {len(gains)} | {counts} | {voted:.0%} | {gains.mean():+.4f} | {gains.min():+.3f} | {lost:.1%} |"


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, torch {_torch()}; no GPU."


def _torch() -> str:
    import torch

    return str(torch.__version__)
