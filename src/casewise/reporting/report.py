"""The report of one image: a single HTML file that needs no network and can be sent by e-mail; and the index of many.

The page's pictures are embedded once each, at the image's own size in pixels; outlines are SVG paths over them. What comes from
outside (file names, labels, sites) is escaped, and a content security policy lets no script run but the page's own.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from casewise import wording
from casewise.finding import Finding
from casewise.image import Array, Image
from casewise.json_safe import dumps
from casewise.reporting.chart import BarChart, LineChart
from casewise.reporting.comparison import Synthesis, comparisons
from casewise.reporting.finding_files import looked_in_segments
from casewise.reporting.heat import heats
from casewise.reporting.lesions import lesion_parts
from casewise.reporting.page import environment, write_page
from casewise.reporting.panels import Panel, Pictures, pictures_of
from casewise.reporting.pictures import colours, data_uri
from casewise.reporting.registration import SequenceView, sequence_rows
from casewise.reporting.segment_views import SegmentPixels, SegmentViews, segment_views
from casewise.reporting.similar import SimilarPicture, terms, tile
from casewise.result import ModelUse, Result, SimilarCase

if TYPE_CHECKING:
    pass

_TILE = 320
_TILE_BYTES = 40_000
_MOST_TILES = 24
_MOST_ROWS = 200
_FOLDED = 8
_MOST_SCORES = 5
_SAME = 0.0005  # a difference of probabilities that three decimals do not show


@dataclass(frozen=True)
class Section:
    """A further part of a report: sentences and, if any, a chart."""

    title: str
    sentences: tuple[str, ...] = ()
    chart: LineChart | BarChart | None = None


def write_report(
    result: Result,
    image: Image,
    masks: Mapping[str, Array],
    folder: Path,
    similar_images: Sequence[SimilarPicture] = (),
    *,
    common: Sequence[str] = (),
    examples: Mapping[str, Image] | None = None,
    extra: Sequence[Section] = (),
    name: str | None = None,
    maps: Mapping[str, Array] | None = None,
    sequences: Sequence[SequenceView] = (),
    syntheses: Sequence[Synthesis] = (),
    segments: Sequence[SegmentPixels] = (),
) -> Path:
    """Write ``folder/NAME.html`` and return its path; a report of that name is replaced, at once or not at all.

    masks : by name, each (*spatial) bool on the image's grid; a finding whose label is a mask's name takes its colour.
    similar_images : the cases of ``result.similar`` whose pictures are at hand, in any order (24 are displayed).
    common : sentences on what the similar cases have in common. examples : images of ``result.examples``, by key, that are at hand.
    extra : further sections, at the end.
    maps : of applications, by name, each (*spatial) on the image's grid, 0 or more; drawn over a picture, or over the
    sequences of a volume (:func:`casewise.reporting.lesions.lesion_parts`).
    sequences : of the examination that the image is the reference of, that one first: how they lie on each other.
    syntheses : what applications synthesised of the image, displayed beside it and the difference, their maps only there.
    segments : that findings of the result were made in; a click on such a finding's mark opens its segment, pixel by pixel.
    name : the file's name without suffix; of the image's, if none is given: give one where two images of a folder share theirs.

    Raises CasewiseError for a mask off the image's grid and for a folder that cannot be written to.
    """
    from markupsafe import Markup

    stem = file_stem(name if name is not None else wording.base_name(result.image))
    path = folder / f"{stem}.html"
    pictures = pictures_of(image, masks, result.findings)
    views = segment_views(image, result.findings, segments)
    plain = {key: values for key, values in (maps or {}).items() if key not in {one.name for one in syntheses}}
    page = (
        environment()
        .get_template("report.html")
        .render(
            title=wording.base_name(result.image),
            result=result,
            facts=wording.image_facts(image),
            summary=result.summary,
            model_used=result.model.sentence,
            pictures=pictures,
            segments=views,
            heats=heats(image, plain, looked_in_segments(result.findings)),
            comparisons=comparisons(image, syntheses),
            lesions=lesion_parts(image, result.findings, plain, sequences),
            sequences=sequence_rows(sequences),
            examination=result.examination or {},
            findings=_finding_rows(result.summary.findings, result.findings, pictures, views),
            more_findings=max(0, len(result.summary.findings) - _MOST_ROWS),
            measures=_finding_rows(result.summary.measures, result.findings, pictures, views),
            quality=_finding_rows(result.summary.quality, result.findings, pictures, views),
            not_found=[(one, wording.score(one.score)) for one in result.summary.not_found],
            similar=_similar_tiles(result.similar, similar_images, list(masks)),
            more_similar=result.similar[_MOST_TILES:],
            examples=_example_tiles(result.examples, examples or {}),
            common=common,
            changes=_changes(result.model),
            refined_on=[(wording.base_name(case), case) for case in result.model.refined_on],
            route=_route(result.route),
            scores=_scores(result.route),
            route_sentences=_route_sentences(result.route),
            reasons=(result.route or {}).get("reasons") or (),
            tags=_tags(result.route),
            nearest=_nearest(result.route),
            ran=_ran(result.applications),
            steps=_steps(result.seconds),
            total=wording.number(sum(result.seconds.values())),
            sections=[(section, Markup(section.chart.svg()) if section.chart else "") for section in extra],  # noqa: S704
            folded=_FOLDED,
            download=f"{stem}.json",
            document=_json_uri(replace(result, report=Path(path.name))),
        )
    )
    return write_page(path, page)


def index_row(result: Result, folder: Path) -> dict[str, str]:
    """What ``folder/index.html`` says of a result. Links are relative to ``folder`` wherever ``Result.report`` lies."""
    return {
        "image": wording.base_name(result.image),
        "path": result.image,
        "found": result.summary.headline,
        "model": result.model.sentence,
        "total": wording.number(sum(result.seconds.values())),
        "link": _link(result.report, folder),
    }


def write_index(rows: Sequence[Mapping[str, str]], folder: Path, failures: Sequence[tuple[str, str]] = ()) -> Path:
    """Write ``folder/index.html``, which lists images with what was found and links their reports.

    rows : of :func:`index_row`. failures : (image, reason). Raises CasewiseError for a folder that cannot be written to.
    """
    page = (
        environment()
        .get_template("index.html")
        .render(rows=rows, failures=[(image, reason.removeprefix(image).lstrip(": ") or reason) for image, reason in failures])
    )
    return write_page(folder / "index.html", page)


def file_stem(name: str) -> str:
    """An image's name without its suffixes as one that every file system takes: letters, digits, ``-``, ``_`` and ``.``."""
    stem = re.sub(r"\.(nii|dcm|nrrd|mha|mhd|png|jpe?g|tiff?|h5|hdf5|gz|bz2)(?=\.|$)", "", name, flags=re.IGNORECASE)
    stem = re.sub(r"[^\w.-]+", "_", stem).strip("._")
    # A suffix and the names of structures come to it, and a name may have 255 bytes.
    return stem[:100].encode()[:160].decode(errors="ignore") or "report"


def _finding_rows(
    findings: Sequence[Finding], every: Sequence[Finding], pictures: Pictures, segments: SegmentViews
) -> list[dict[str, object]]:
    """Every : all findings of the result, by whose numbers the pictures know them."""
    numbers = {id(finding): number for number, finding in enumerate(every)}
    swatches = {entry.name: entry.colour for entry in pictures.legend}
    panels: dict[int, Panel] = {}
    for panel in (*pictures.strip[::-1], *pictures.main[::-1]):
        panels.update({frame.finding: panel for frame in panel.frames})
    return [
        {
            "finding": finding,
            "colour": swatches.get(finding.overlay, ""),
            "percent": None if finding.probability is None else round(100 * min(1.0, max(0.0, finding.probability)), 1),
            "probability": wording.score(finding.probability),
            "measures": [wording.measure(name, value) for name, value in finding.measures.items()],
            "box": wording.box_text(finding.box) if finding.box else "",
            "scores": [(name, wording.score(value)) for name, value in finding.scores.items()],
            "panel": panels[number].ident if number in panels else "",
            "number": number,
            "segment": segments.opened_by.get(number),
        }
        for finding in findings[:_MOST_ROWS]
        for number in (numbers[id(finding)],)
    ]


def _similar_tiles(
    cases: Sequence[SimilarCase], pictures: Sequence[SimilarPicture], names: Sequence[str]
) -> list[dict[str, object]]:
    by_key = {picture.case.key: picture for picture in pictures}
    # A structure has the colour of the image's own legend in every tile.
    palette = colours(list(dict.fromkeys((*names, *(name for picture in pictures for name in picture.masks)))))
    listed = list(cases) or [picture.case for picture in pictures]
    tiles = []
    for rank, case in enumerate(listed[:_MOST_TILES], start=1):
        picture = by_key.get(case.key)
        uri = data_uri(tile(picture.image, picture.masks, _TILE, palette), _TILE_BYTES)[0] if picture else ""
        tiles.append({"rank": rank, "name": wording.base_name(case.image), "case": case, "uri": uri, "terms": terms(case)})
    return tiles


def _example_tiles(cases: Sequence[SimilarCase], images: Mapping[str, Image]) -> list[dict[str, object]]:
    return _similar_tiles(cases, [SimilarPicture(case, images[case.key]) for case in cases if case.key in images], ())


def _changes(model: ModelUse) -> list[dict[str, object]]:
    names = list(dict.fromkeys((*model.before, *model.after)))
    rows: list[dict[str, object]] = []
    for name in names:
        before, after = model.before.get(name), model.after.get(name)
        change = None if before is None or after is None else after - before
        text = "–" if change is None or not np.isfinite(change) else f"{change:+.3f}".replace("-", "−")
        rows.append(
            {
                "name": wording.measure_name(name),
                "before": wording.score(before),
                "after": wording.score(after),
                "change": text,
            }
        )
    return rows


def _kind(route: Mapping[str, Any]) -> str:
    return "no kind of image that casewise knows" if route["category"] == "unknown" else str(route["category"])


def _route(route: Mapping[str, object] | None) -> str:
    if not route or not route.get("category"):
        return ""
    probability = route.get("probability")
    certain = f" (probability {wording.score(probability)})" if isinstance(probability, (int, float)) else ""
    return f"{_kind(route)}{certain}"


def _scores(route: Mapping[str, Any] | None) -> list[dict[str, object]]:
    """The categories that are likeliest by pixels and tags together, or by the pixels alone, as bars of the former."""
    scores: dict[str, float] = {entry["category"]: float(entry["probability"]) for entry in (route or {}).get("scores") or ()}
    alone: dict[str, float] = {entry["category"]: float(entry["probability"]) for entry in (route or {}).get("pixels") or ()}
    likeliest = sorted(scores, key=lambda name: -max(scores[name], alone.get(name, 0.0)))[:_MOST_SCORES]
    return [
        {
            "name": name,
            "text": wording.score(scores[name]) + _by_pixels(scores[name], alone.get(name)),
            "percent": round(100 * scores[name], 1),
        }
        for name in sorted(likeliest, key=lambda name: -scores[name])
    ]


def _by_pixels(score: float, alone: float | None) -> str:
    """What the pixels alone say of a category, where the tags changed it."""
    return "" if alone is None or abs(score - alone) < _SAME else f" (pixels alone {wording.score(alone)})"


def _route_sentences(route: Mapping[str, Any] | None) -> str:
    """What the pixels and the tags say."""
    if not route:
        return ""
    prior, views = route.get("prior") or {}, route.get("views") or 1
    turned = "One look left it unsure, so it was looked at in four poses." if route.get("poses", 1) > 1 else ""
    if prior.get("tags"):
        said = [prior["sentence"], f"{views} slices were classified." if views > 1 else ""]
    else:
        slices = f", by {views} slices" if views > 1 else ""
        said = [
            f"The pixels look like {_kind({'category': route.get('looked', route['category'])})}{slices}.",
            prior.get("sentence"),
        ]
    return " ".join(part for part in (*said, turned) if part)


def _tags(route: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """A row a tag: what it says, the categories that it fits, and how often such a tag is wrong."""
    prior = (route or {}).get("prior") or {}
    return [
        {
            "name": tag["name"],
            "value": tag["value"],
            "fits": ", ".join(tag["fits"]) or "no category",
            "wrong": f"{100 * tag['wrong']:.0f} %" if tag["wrong"] else "taken as certain",
        }
        for tag in prior.get("tags", ())
    ]


def _nearest(route: Mapping[str, Any] | None) -> str:
    shares = [f"{near['category']} ({100 * near['share']:.0f} %)" for near in (route or {}).get("nearest") or ()]
    return f"The router's training images nearest to this one are of {', '.join(shares)}." if shares else ""


def _ran(applications: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    return [{**entry, "time": f"{wording.number(entry.get('seconds', 0.0), 2)} s"} for entry in applications]


def _steps(seconds: Mapping[str, float]) -> list[dict[str, object]]:
    longest = max(seconds.values(), default=0.0)
    return [
        {
            "name": name.replace("_", " "),
            "text": f"{wording.number(value, 2)} s",
            "percent": round(100 * value / longest, 1) if longest > 0 else 0,
        }
        for name, value in seconds.items()
    ]


def _json_uri(result: Result) -> str:
    document = dumps(result.to_json(), indent=2).encode()
    return f"data:application/json;base64,{base64.b64encode(document).decode()}"


def _link(report: Path | None, folder: Path) -> str:
    if report is None:
        return ""
    from urllib.parse import quote

    return quote(Path(os.path.relpath(report, folder)).as_posix())
