"""The routing benchmark's figures as tables, and its confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import spread, table
from casewise.statistics import interval, paired_p

_CELL, _LEFT, _TOP = 58, 170, 40
ASKED = {"balanced": 0.99, "unseen": 0.97, "auroc": 0.97, "called": 0.85, "calibration": 0.03, "kept": 0.97, "speed": 100.0}
FIRM = 20  # patients, or images where nobody knows the patients, from whom a category is known well
CLASSIFIERS = ("softmax", "svm")


def tables(
    shipped: dict[str, Any], speed: dict[str, float], splits: Sequence[dict[str, Any]], former: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    left = {name: [row for run in splits for row in run[name]["sources"]] for name in CLASSIFIERS}
    apart = {
        part: [
            [name, row["images"], _doubted(row), _doubted(run["svm"][part][name])]
            for run in splits
            for name, row in sorted(run["softmax"][part].items())
        ]
        for part in ("categories", "kinds")
    }
    return {
        "shipped": _shipped(shipped, speed),
        "sources": _sources({name: shipped[name]["by_source"] for name in CLASSIFIERS}),
        "unseen": _sources({name: shipped[name]["unseen_sources"] for name in CLASSIFIERS}),
        "left_out": _sources(left),
        "categories": table(["category", "images", "softmax AUROC (called unknown)", "SVM"], apart["categories"]),
        "kinds": table(["kind", "images", "softmax AUROC (called unknown)", "SVM"], apart["kinds"]),
        "means": "\n".join(_means(name, left[name], splits) for name in CLASSIFIERS),
        "compared": _compared(former, splits),
    }


def _compared(former: Sequence[dict[str, Any]], present: Sequence[dict[str, Any]]) -> str:
    """The encoder trained further and as it is, by softmax: on the trainings in whose sight was chosen, and on the others."""
    lines = []
    for what, place in (("first two, in whose sight was chosen", slice(0, 2)), ("last two, never looked at", slice(2, 4))):
        pair = [[run["softmax"] for run in of[place]] for of in (former, present)]
        for name, of in zip(("trained further", "as it is"), pair, strict=True):
            rows = _without_sequences([row for run in of for row in run["sources"]])
            lines.append([name, what, _shares(rows), _apart(of, "categories"), _apart(of, "kinds")])
        rates = [
            {(row["category"], row["source"]): row["right"] / row["images"] for run in of for row in run["sources"]} for of in pair
        ]
        keys = [key for key in rates[1] if not key[1].startswith("prostatex")]
        gains = [rates[1][key] - rates[0][key] for key in keys]
        low, high = interval(gains)
        p = paired_p([rates[1][key] for key in keys], [rates[0][key] for key in keys])
        lines.append(["difference", what, f"{np.mean(gains):+.4f} ({low:+.4f} to {high:+.4f}), p {p:.3f}", "", ""])
    return table(
        ["encoder", "trainings", "sources left out right", "categories called unknown", "other kinds called unknown"], lines
    )


def _without_sequences(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the sequences of one patient's study, which are no sources."""
    return [row for row in rows if not row["source"].startswith("prostatex")]


def _shipped(shipped: dict[str, Any], speed: dict[str, float]) -> str:
    both = [shipped[name] for name in CLASSIFIERS]
    balanced = [spread((one["balanced"], *one["interval"]), ".4f", dash="–") for one in both]
    lines = [
        [f"balanced accuracy, {both[0]['images']} test images", f"≥ {ASKED['balanced']}", *balanced],
        ["the same, were nothing unknown", "", *(f"{one['balanced_without_unknown']:.4f}" for one in both)],
        ["test images called unknown", "about 0.01", *(f"{one['called_unknown']:.4f}" for one in both)],
        ["expected calibration error", f"≤ {ASKED['calibration']}", *(f"{one['calibration_error']:.4f}" for one in both)],
    ]
    for change in both[0]["changes"]:
        kept = [f"{one['changes'][change]['kept']:.4f} ({one['changes'][change]['right']:.4f} right)" for one in both]
        lines.append([f"keep their category: {change}", f"≥ {ASKED['kept']}", *kept])
    for source in both[0]["unknown"]:
        cells = [_doubted(one["unknown"][source]) for one in both]
        lines.append([f"AUROC known against {source}", f"≥ {ASKED['auroc']}", *cells])
    rate = f"{speed['images_per_second']:.0f} (load average {speed['load_average']:.1f})"
    lines += [
        [
            "images a second of processor time, two processes",
            f"≥ {ASKED['speed']:.0f}",
            *_once(speed, "images_per_second_of_processors", ".0f"),
        ],
        ["the same by the clock, beside other work", "", rate, ""],
        ["the router's folder, MB", "≤ 12", *_once(speed, "folder_mb", ".1f")],
        ["start, seconds of processor time after torch's import", "≤ 1", *_once(speed, "start_seconds", ".2f")],
        ["torch's own import, seconds of processor time", "", *_once(speed, "torch_seconds", ".2f")],
    ]
    return table(["", "asked", "softmax", "SVM"], lines)


def _once(speed: dict[str, float], name: str, form: str) -> list[str]:
    return [format(speed[name], form), ""]


def _doubted(row: dict[str, Any]) -> str:
    return f"{row['auroc']:.4f} ({row['called_unknown']:.2f} called unknown)"


def _sources(found: dict[str, list[dict[str, Any]]]) -> str:
    left = any("patients_left" in row for row in found["softmax"])
    head = ["category", "source", "images", "subjects", "softmax right", "SVM right", "softmax took it for"]
    lines = []
    for row, other in zip(found["softmax"], found["svm"], strict=True):
        taken = ", ".join(f"{name} {count}" for name, count in row["taken_for"].items())
        rates = [spread((r["right"] / r["images"], *r["interval"]), ".3f", ".2f", "–") for r in (row, other)]
        about = [row[name] for name in ("category", "source", "images", "subjects")]
        lines.append([*about, *rates, taken, *([row["patients_left"]] if left else [])])
    return table([*head, *(["known from"] if left else [])], lines)


def _means(name: str, rows: Sequence[dict[str, Any]], splits: Sequence[dict[str, Any]]) -> str:
    sources = _without_sequences(rows)
    firm = [row for row in sources if row["patients_left"] >= FIRM]
    of = [run[name] for run in splits]
    called = np.mean([run["known"]["called_unknown"] for run in of])
    return "\n".join(
        (
            f"- {name}: of the sources left out {_shares(sources)} are right (asked ≥ {ASKED['unseen']}); of those whose category",
            f"  was known from {FIRM} patients or more {_shares(firm)}.",
            f"  Called unknown (asked ≥ {ASKED['called']}), AUROC (asked ≥ {ASKED['auroc']}): categories left out "
            f"{_apart(of, 'categories')};",
            f"  other kinds left out {_apart(of, 'kinds')}.",
            f"  Of test images of the sources and categories that it knew {called:.4f} are called unknown.",
        )
    )


def _apart(of: Sequence[dict[str, Any]], part: str) -> str:
    rows = [row for run in of for row in run[part].values()]
    scores = [row["auroc"] for row in rows]
    called = np.mean([row["called_unknown"] for row in rows])
    return f"{called:.3f}, mean AUROC {np.mean(scores):.4f}, least {min(scores):.4f}"


def _shares(rows: list[dict[str, Any]]) -> str:
    images, right = sum(row["images"] for row in rows), sum(row["right"] for row in rows)
    mean = sum(row["right"] / row["images"] for row in rows) / len(rows)
    return f"({len(rows)}, {images} images) {right / images:.4f} of the images and {mean:.4f} as their mean"


def confusion_picture(shipped: dict[str, Any], path: Path) -> None:
    """Rows: what the test images are. Columns: what the shipped router took them for. The darker, the larger the row's share."""
    from PIL import Image, ImageDraw

    names = shipped["categories"]
    columns = [*names, "unknown"]
    panels = [(name, shipped[name]["confusion"]) for name in ("softmax", "svm")]
    height = _TOP + _CELL * len(names) + 130
    picture = Image.new("RGB", (2 * (_LEFT + _CELL * len(columns) + 30), height), "white")
    draw = ImageDraw.Draw(picture)
    for place, (title, counts) in enumerate(panels):
        left = place * (_LEFT + _CELL * len(columns) + 30)
        draw.text((left + _LEFT, 12), f"{title}: rows are the truth, columns the answer", fill="black")
        for row, values in enumerate(counts):
            y = _TOP + row * _CELL
            draw.text((left + 8, y + _CELL // 2 - 6), f"{names[row]} ({sum(values)})", fill="black")
            for column, count in enumerate(values):
                x = left + _LEFT + column * _CELL
                shade = round(255 * (1 - count / max(1, sum(values))))
                draw.rectangle((x, y, x + _CELL - 2, y + _CELL - 2), fill=(shade, shade, 255), outline=(200, 200, 200))
                if count:
                    draw.text((x + 8, y + _CELL // 2 - 6), str(count), fill="white" if shade < 128 else "black")
        for column, name in enumerate(columns):
            label = Image.new("RGB", (int(draw.textlength(name)) + 2, 14), "white")
            ImageDraw.Draw(label).text((0, 0), name, fill="black")
            picture.paste(label.rotate(90, expand=True), (left + _LEFT + column * _CELL + 20, _TOP + len(names) * _CELL + 4))
    picture.save(path)
