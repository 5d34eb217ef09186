"""What the applications that report findings say of images of foreign kinds, each asked by its name and protected by no route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from casewise.applications.builtin import BUILT_IN
from casewise.applications.declared import Declared, PythonRun
from casewise.applications.isolated.python import loaded
from casewise.errors import CasewiseError
from casewise.finding import FINDING
from casewise.image import Image
from experiments.intended.images import foreign_images, is_kin

HALF = 0.5
KINDS = {  # application → kinds of images that are not foreign to it
    "breast-ultrasound-class": ("breast-ultrasound",),
    "irregularities": ("chest",),
    "tuberculosis": ("chest",),
    "abnormality": ("chest", "brain"),
    "brain-lesions": ("brain",),
}
Row = dict[str, Any]


def asked() -> list[Declared]:
    """Those that look for signs of disease. Raises KeyError for one that ``KINDS`` does not know."""
    return [one for one in BUILT_IN if one.detects and KINDS[one.name]]


def answered() -> dict[str, Row]:
    """Application → images asked about by source, and those that it did not refuse: source, name, number of its findings, and the
    highest probability of any (None where its findings have none).
    """
    running = {one.name: _loaded(one) for one in asked()}
    rows: dict[str, Row] = {name: {"asked": Counter(), "answered": []} for name in running}
    for source, name, image in foreign_images():
        for application, made in running.items():
            if any(is_kin(kind, source) for kind in KINDS[application]):
                continue
            rows[application]["asked"][source] += 1
            found = _findings(made, image)
            if found is not None:
                known = [one for one in found if one is not None]
                rows[application]["answered"].append([source, name, len(found), round(max(known), 4) if known else None])
    return rows


def _loaded(declared: Declared) -> Any:
    run = declared.run
    if not isinstance(run, PythonRun):
        raise TypeError(f"{declared.name} is no Python object")
    return loaded(run.target, {key: value for key, value in declared.settings.items() if key not in ("masks", "maps")})


def _findings(application: Any, image: Image) -> list[float | None] | None:
    """The probability of each finding; None for an image that is refused. A volume is said to be a FLAIR, so that no sequence's
    name keeps it out.
    """
    if image.spatial_dims == 3:
        image = replace(image, header=replace(image.header, sequence="FLAIR"))
    try:
        found = application.analyze(image)
    except CasewiseError:
        return None
    return [finding.probability for finding in found if finding.kind == FINDING]


def lines(rows: Mapping[str, Row]) -> Iterator[tuple[str, int, int, int, int, str]]:
    """(application, images asked about, answered, with a finding, with one above one half, of which sources these are).

    A finding without a probability counts as above one half.
    """
    for name, row in rows.items():
        with_finding = [one for one in row["answered"] if one[2]]
        above = Counter(source for source, _, _, highest in with_finding if highest is None or highest > HALF)
        named = ", ".join(f"{source} {count}" for source, count in above.most_common()) or "none"
        yield name, sum(row["asked"].values()), len(row["answered"]), len(with_finding), sum(above.values()), named
