"""The routing benchmark's figures as Markdown, and its confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_CELL, _LEFT, _TOP = 58, 170, 40
_LEFT_OUT = (
    "All images of a source, by a router that never saw it. The last column is the number of patients from whom that router knew "
    "the category. The three ProstateX rows are sequences of one patient's study and no sources: the router knew the patient by "
    "the others."
)
_ASKED = {"balanced": 0.99, "unseen": 0.97, "auroc": 0.95, "calibration": 0.03, "kept": 0.97, "speed": 100.0}


def table(result: dict[str, Any]) -> str:
    shipped, speed = result["shipped"], result["speed"]
    both = [(name, shipped[name]) for name in ("softmax", "svm")]
    lines = ["## The shipped router", "", "| | asked | softmax | SVM |", "|---|---|---|---|"]
    lines += [
        _row(f"balanced accuracy, {both[0][1]['images']} test images", f"≥ {_ASKED['balanced']}", [_with(s) for _, s in both]),
        _row("the same, were nothing unknown", "", [f"{s['balanced_without_unknown']:.4f}" for _, s in both]),
        _row("test images called unknown", "about 0.01", [f"{s['called_unknown']:.4f}" for _, s in both]),
        _row("expected calibration error", f"≤ {_ASKED['calibration']}", [f"{s['calibration_error']:.4f}" for _, s in both]),
    ]
    for change in both[0][1]["changes"]:
        kept = [f"{s['changes'][change]['kept']:.4f} ({s['changes'][change]['right']:.4f} right)" for _, s in both]
        lines.append(_row(f"keep their category: {change}", f"≥ {_ASKED['kept']}", kept))
    for source in both[0][1]["unknown"]:
        told = [_doubted(s["unknown"][source]) for _, s in both]
        lines.append(_row(f"AUROC known against {source}", f"≥ {_ASKED['auroc']}", told))
    rate = f"{speed['images_per_second']:.0f} (load average {speed['load_average']:.1f})"
    lines += [_row("images a second, two processes", f"≥ {_ASKED['speed']:.0f}", [rate, ""]), ""]
    lines += ["### Test images, by category and source", "", *_sources(shipped, "by_source")]
    lines += ["### Sources that the shipped router never saw", "", *_sources(shipped, "unseen_sources")]
    if "splits" in result:
        lines += ["## Sources left out in turn", "", _LEFT_OUT, ""]
        joined = {name: {"rows": [row for run in result["splits"] for row in run[name]["sources"]]} for name in ("softmax", "svm")}
        lines += _sources(joined, "rows")
        lines += [
            "## Categories left out in turn",
            "",
            "| category | images | softmax AUROC (called unknown) | SVM |",
            "|---|---|---|---|",
        ]
        for run in result["splits"]:
            for category, row in run["softmax"]["categories"].items():
                lines.append(f"| {category} | {row['images']} | {_doubted(row)} | {_doubted(run['svm']['categories'][category])} |")
        lines += ["", *_means(result)]
    return "\n".join(lines)


def _row(name: str, asked: str, values: list[str]) -> str:
    return f"| {name} | {asked} | {values[0]} | {values[1]} |"


def _with(entry: dict[str, Any]) -> str:
    low, high = entry["interval"]
    return f"{entry['balanced']:.4f} ({low:.4f}–{high:.4f})"


def _doubted(row: dict[str, Any]) -> str:
    return f"{row['auroc']:.4f} ({row['called_unknown']:.2f} called unknown)"


def _sources(entry: dict[str, Any], key: str) -> list[str]:
    left = "patients_left" in entry["softmax"][key][0]
    lines = [
        "| category | source | images | subjects | softmax right | SVM right | softmax took it for |"
        + (" known from |" if left else ""),
        "|---|---|---|---|---|---|---|" + ("---|" if left else ""),
    ]
    for row, other in zip(entry["softmax"][key], entry["svm"][key], strict=True):
        taken = ", ".join(f"{name} {count}" for name, count in row["taken_for"].items())
        rates = [f"{r['right'] / r['images']:.3f} ({r['interval'][0]:.2f}–{r['interval'][1]:.2f})" for r in (row, other)]
        cells = [row["category"], row["source"], row["images"], row["subjects"], *rates, taken]
        cells += [row["patients_left"]] if left else []
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [*lines, ""]


def _means(result: dict[str, Any]) -> list[str]:
    lines = []
    for name in ("softmax", "svm"):
        rows = [row for run in result["splits"] for row in run[name]["sources"]]
        sources = [row for row in rows if not row["source"].startswith("prostatex")]
        firm = [row for row in sources if row["patients_left"] > 1]
        scores = [row["auroc"] for run in result["splits"] for row in run[name]["categories"].values()]
        lines.append(
            f"- {name}: of the sources left out {_shares(sources)} are right; of those whose category was known from more than one "
            f"patient {_shares(firm)} (asked ≥ {_ASKED['unseen']}). AUROC over categories left out: mean "
            f"{sum(scores) / len(scores):.4f}, least {min(scores):.4f} (asked ≥ {_ASKED['auroc']})."
        )
    return lines


def _shares(rows: list[dict[str, Any]]) -> str:
    images, right = sum(row["images"] for row in rows), sum(row["right"] for row in rows)
    mean = sum(row["right"] / row["images"] for row in rows) / len(rows)
    return f"({len(rows)}, {images} images) {right / images:.4f} of the images and {mean:.4f} as their mean"


def confusion_picture(result: dict[str, Any], path: Path) -> None:
    """Rows: what the test images are. Columns: what the shipped router took them for. The darker, the larger the row's share."""
    from PIL import Image, ImageDraw

    names = result["shipped"]["categories"]
    columns = [*names, "unknown"]
    panels = [(name, result["shipped"][name]["confusion"]) for name in ("softmax", "svm")]
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
