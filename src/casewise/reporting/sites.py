"""A page on a training over several sites: accuracy before and after, in a table and a chart, and the curriculum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from casewise import wording
from casewise.reporting.chart import LineChart
from casewise.reporting.page import environment, write_page

_MOST = 50


def write_sites(document: Mapping[str, Any], path: Path, *, title: str) -> Path:
    """Write the page at ``path`` and return it.

    document : of :meth:`casewise.adaptation.sites.Sites.to_json`. Raises CasewiseError for a folder that cannot be written to.
    """
    from markupsafe import Markup

    chart = _chart(document)
    page = (
        environment()
        .get_template("sites.html")
        .render(
            title=title,
            document=document,
            found=_found(document),
            measure=wording.measure_name(str(document["measure"])),
            rows=[_row(site) for site in document["sites"]],
            chart=Markup(chart.svg()) if chart else "",  # noqa: S704
            most=_MOST,
        )
    )
    return write_page(path, page)


def _row(site: Mapping[str, Any]) -> dict[str, str]:
    before, after = site["before"], site["after"]
    change = "–" if before is None or after is None else f"{after - before:+.3f}".replace("-", "−")
    return {
        "name": str(site["name"]),
        "likeness": wording.score(site["likeness"]),
        "held_out": str(site["held_out"]),
        "before": wording.score(before),
        "after": wording.score(after),
        "change": change,
    }


def _found(document: Mapping[str, Any]) -> str:
    measured = [site for site in document["sites"] if site["before"] is not None and site["after"] is not None]
    better = [site for site in measured if site["after"] > site["before"]]
    if not measured:
        return "No site has cases that could be held out"
    return f"Better on {len(better)} of {len(measured)} sites"


def _chart(document: Mapping[str, Any]) -> LineChart | None:
    """The accuracy of each site over the stages; 0 is the pretrained model."""
    stages: Sequence[Mapping[str, Any]] = document["stages"]
    if not stages:
        return None
    series: dict[str, list[tuple[float, float]]] = {}
    for site in document["sites"]:
        name = str(site["name"])
        points = [(0.0, site["before"]), *((float(n), stage["accuracy"].get(name)) for n, stage in enumerate(stages, start=1))]
        if all(value is not None for _, value in points):
            series[name] = [(x, float(value)) for x, value in points]
    named = ", ".join(f"{n} after {stage['site']}" for n, stage in enumerate(stages, start=1))
    return LineChart(series, "", f"Stage: 0 before, {named}", wording.measure_name(str(document["measure"]))) if series else None
