"""What DICOM's tags add to the pixels: right, missing, wrong and exchanged tags, and the DICOM files at hand.

The router's test images are pictures without tags. They are given those that a scanner would write for their category or kind, and
the shipped router's answer for the pixels is combined with them by the rule that `casewise route` applies.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks import driver
from benchmarks.routing import found
from benchmarks.tables import table
from casewise import formats
from casewise.errors import CasewiseError
from casewise.formats.found import Found
from casewise.hashing import file_key
from casewise.header import Header
from casewise.image import Image
from casewise.routing.calibration import calibration_error
from casewise.routing.dicom_prior import prior_of
from casewise.routing.route import UNKNOWN, Route
from casewise.routing.router import Router
from casewise.routing.tags import PART_WRONG
from experiments import datasets

_CLASSES = {
    "CT": "CTImageStorage",
    "MR": "MRImageStorage",
    "US": "UltrasoundImageStorage",
    "DX": "DigitalXRayImageStorageForPresentation",
    "MG": "DigitalMammographyXRayImageStorageForPresentation",
    "OP": "OphthalmicPhotography8BitImageStorage",
    "OPT": "OphthalmicTomographyImageStorage",
    "SM": "VLWholeSlideMicroscopyImageStorage",
    "ES": "VLEndoscopicImageStorage",
    "XC": "VLPhotographicImageStorage",
    "PT": "PositronEmissionTomographyImageStorage",
}
TAGS: dict[str, tuple[str, str | None]] = {  # category or kind → Modality and BodyPartExamined of such images
    "abdomen-ct": ("CT", "ABDOMEN"),
    "brain-mr": ("MR", "BRAIN"),
    "breast-mr": ("MR", "BREAST"),
    "breast-ultrasound": ("US", "BREAST"),
    "cardiac-mr": ("MR", "HEART"),
    "chest-ct": ("CT", "CHEST"),
    "chest-xray": ("DX", "CHEST"),
    "fundus-photograph": ("OP", "EYE"),
    "hand-xray": ("DX", "HAND"),
    "head-ct": ("CT", "HEAD"),
    "histology": ("SM", None),
    "prostate-mr": ("MR", "PROSTATE"),
    "abdomen-mr": ("MR", "ABDOMEN"),
    "dermoscopy": ("XC", "SKIN"),
    "endoscopy": ("ES", "COLON"),
    "fetal-ultrasound": ("US", "FETUS"),
    "hippocampus": ("MR", "BRAIN"),
    "kidney-ultrasound": ("US", "KIDNEY"),
    "knee-mr": ("MR", "KNEE"),
    "liver-ultrasound": ("US", "LIVER"),
    "mammography": ("MG", "BREAST"),
    "pet": ("PT", "WHOLEBODY"),
    "retina-oct": ("OPT", "EYE"),
    "spine-mr": ("MR", "SPINE"),
    "wound": ("XC", "FOOT"),
}
REAL = (  # DICOM files at hand: pattern, what they show, as it was looked at, and the router's name for that
    ("prostatex/*/*/*/", "a prostate", "prostate-mr"),
    ("dicom-more/dcm_qa_nih/20180918GE/**/*.dcm", "one slice of a brain", "brain-mr"),
    ("dicom-more/dcm_qa_nih/20180918Si/**/*.dcm", "a phantom", UNKNOWN),
    ("dicom-pydicom/explicit_VR-UN.dcm", "an abdomen", "abdomen-ct"),
    ("dicom-more/cornerstone3D/CTImage.dcm", "shoulders and neck", UNKNOWN),
    ("dicom-pydicom/bad_sequence.dcm", "a spine", UNKNOWN),
    ("dicom-pydicom/MR2_UNCI.dcm", "a shoulder", UNKNOWN),
    ("dicom-pydicom/MR-SIEMENS-DICOM-WithOverlays.dcm", "an abdomen on MR", UNKNOWN),
    ("dicom-pydicom/JPEG2000_UNC.dcm", "a bone scan", UNKNOWN),
    ("dicom-more/cornerstone3D/US-*.dcm", "muscle", UNKNOWN),
    ("dicom-more/cornerstone3D/no-pixel-spacing.dcm", "a heart, nearly dark", UNKNOWN),
    ("dicom-pydicom/color-pl.dcm", "a heart", UNKNOWN),
    ("dicom-pydicom/OBXXXX1A.dcm", "a dark field", UNKNOWN),
    ("dicom-pydicom/US1_UNCI.dcm", "a lymph node", UNKNOWN),
    ("dicom-pydicom/gdcm-US-ALOKA-16.dcm", "a pelvis", UNKNOWN),
    ("dicom-pydicom/JPGLosslessP14SV1_1s_1f_8b.dcm", "a heart", UNKNOWN),
)
Tagged = Callable[[str, np.random.Generator], Header]  # category or kind of an image → its header


def header(kind: str, *, part: bool = True) -> Header:
    """The tags of an image of ``kind``; none where such images are no DICOM."""
    modality, body_part = TAGS.get(kind, (None, None))
    return Header(modality=modality, body_part=body_part if part else None, sop_class=_CLASSES.get(modality or ""))


def _other(kind: str, rng: np.random.Generator) -> str:
    names = [name for name in TAGS if TAGS[name] != TAGS.get(kind)]
    return names[int(rng.integers(len(names)))]


def _partly_wrong(kind: str, rng: np.random.Generator) -> Header:
    """The body part of another kind of the same modality, or of any where there is none, as often as such tags are wrong."""
    right = header(kind)
    if right.body_part is None or rng.random() >= PART_WRONG:
        return right
    same = sorted({part for modality, part in TAGS.values() if part and modality == right.modality and part != right.body_part})
    parts = same or sorted({part for _, part in TAGS.values() if part and part != right.body_part})
    return Header(modality=right.modality, body_part=parts[int(rng.integers(len(parts)))], sop_class=right.sop_class)


STATES: dict[str, Tagged] = {
    "no tags: pixels alone": lambda kind, rng: Header(),
    "Modality alone": lambda kind, rng: header(kind, part=False),
    "right": lambda kind, rng: header(kind),
    f"body part wrong in {100 * PART_WRONG:.1f} %": _partly_wrong,
    "exchanged with an image of another kind": lambda kind, rng: header(_other(kind, rng)),
}


def written() -> list[dict[str, Any]]:
    """A row a set and state of the tags."""
    router = Router.load()
    known = [e for e in found() if e.category != UNKNOWN and e.source.trained and e.part == "test"]
    sets = {
        "test images of known sources": known,
        "sources never seen": [e for e in found() if e.category != UNKNOWN and not e.source.trained],
        "other kinds": [e for e in found() if e.category == UNKNOWN and e.part == "test"],
    }
    rows = []
    for name, of in sets.items():
        alone = router.route_views([entry.views for entry in of])
        kinds = [entry.source.name if entry.category == UNKNOWN else entry.category for entry in of]
        truth = [entry.category for entry in of]
        for state, tagged in STATES.items():
            rng = np.random.default_rng(0)
            headers = [tagged(kind, rng) for kind in kinds]
            routes = [_combined(router, route, one) for route, one in zip(alone, headers, strict=True)]
            rows.append({"set": name, "tags": state} | measured(truth, routes, headers))
            rows[-1]["tags_alone"] = _balanced(truth, [_by_tags(router, one) for one in headers])
    return rows


def _combined(router: Router, route: Route, one: Header) -> Route:
    pixels = {score.category: score.probability for score in route.pixels}
    return Route.of(pixels, route.strangeness, prior_of(one, router.categories, router.table), route.classifier)


def _by_tags(router: Router, one: Header) -> str:
    """The one category that all tags allow; unknown where they allow none, several, or are missing."""
    fits = prior_of(one, router.categories, router.table).fits
    return fits[0] if fits is not None and len(fits) == 1 else UNKNOWN


def measured(truth: Sequence[str], routes: Sequence[Route], headers: Sequence[Header]) -> dict[str, Any]:
    """right : balanced over the categories. wrong : share of images sent to another category than theirs. crossed : images whose
    Modality says MR that were routed to a CT category, or the other way round.
    """
    right = np.array([route.category == one for route, one in zip(routes, truth, strict=True)])
    sure = np.array([route.probability for route in routes])
    return {
        "images": len(truth),
        "right": _balanced(truth, [route.category for route in routes]),
        "unknown": float(np.mean([not route.known for route in routes])),
        "wrong": float(np.mean([route.known and not hit for route, hit in zip(routes, right, strict=True)])),
        "calibration": calibration_error(sure, right),
        "contradicted": float(np.mean([route.prior.contradicted for route in routes])),
        "crossed": sum(_crossed(route, one) for route, one in zip(routes, headers, strict=True)),
    }


def _crossed(route: Route, one: Header) -> bool:
    return any(one.modality == said and route.category.endswith(f"-{other}") for said, other in (("MR", "ct"), ("CT", "mr")))


def _balanced(truth: Sequence[str], answers: Sequence[str]) -> float:
    rates = [
        np.mean([answer == name for answer, one in zip(answers, truth, strict=True) if one == name]) for name in sorted(set(truth))
    ]
    return float(np.mean(rates))


def real() -> list[dict[str, Any]]:
    """A row a series of the DICOM files at hand."""
    router, rows = Router.load(), []
    for name, shows, truth, image in _series():
        alone, route = router.route(image, tags=False), router.route(image)
        rows.append(
            {
                "series": name,
                "shows": shows,
                "truth": truth,
                "tags": route.prior.stated,
                "pixels": [alone.category, round(alone.probability, 3)],
                "routed": [route.category, round(route.probability, 3)],
                "contradicted": route.prior.contradicted,
            }
        )
    return rows


def _series() -> Iterator[tuple[str, str, str, Image]]:
    seen: set[str] = set()
    for pattern, shows, truth in REAL:
        for path in datasets.files(pattern):
            for one in formats.scan(path) if path.is_dir() else [path]:
                if isinstance(one, Found):
                    place, member = one.path, one.member
                elif path.is_dir() or file_key(path) in seen:
                    continue
                else:
                    place, member = path, None
                    seen.add(file_key(path))
                try:
                    yield _name(datasets.name_of(path), member), shows, truth, formats.read(place, member)
                except CasewiseError:
                    continue


def _name(relative: str, member: str | None) -> str:
    """Where a series is from, without the long numbers."""
    last = relative.rstrip("/").rsplit("/", 1)[-1]
    part = f" ({member.rsplit('#', 1)[1]})" if member and "#" in member else ""
    return f"{relative.split('/')[0]}: {last}{part}"


def units(options: Namespace) -> Iterable[driver.Unit]:
    return [driver.Unit("written", written), driver.Unit("real", real)]


def figures(units: driver.Rows) -> Mapping[str, Any]:
    head = ["tags", "right by the rule", "by the tags alone", "called unknown", "sent to a wrong category", "calibration error"]
    head += ["contradiction reported", "MR routed as CT, or CT as MR"]
    parts = []
    for name in dict.fromkeys(row["set"] for row in units["written"]):
        of = [row for row in units["written"] if row["set"] == name]
        shares = ("right", "tags_alone", "unknown", "wrong", "calibration", "contradicted")
        lines = [[row["tags"], *(f"{row[share]:.3f}" for share in shares), row["crossed"]] for row in of]
        parts.append(f"### {name.capitalize()} ({of[0]['images']} images)\n\n{table(head, lines)}")
    lines = [
        [
            *(row["series"], row["shows"], row["truth"], row["tags"] or "nothing", _answer(row["pixels"]), _answer(row["routed"])),
            "yes" if row["contradicted"] else "",
        ]
        for row in units["real"]
    ]
    counts = {side: sum(row[side][0] == row["truth"] for row in units["real"]) for side in ("pixels", "routed")}
    return {
        "written": "\n\n".join(parts),
        "real": table(
            ["series", "shows", "for the router", "tags say", "pixels alone", "by the rule", "contradiction reported"], lines
        ),
        "crossed": sum(row["crossed"] for row in units["written"]) or "none",
        "series": len(units["real"]),
        "right": counts,
        "wrong": {side: sum(row[side][0] not in (row["truth"], UNKNOWN) for row in units["real"]) for side in counts},
    }


def _answer(found: tuple[str, float]) -> str:
    return f"{found[0]} {found[1]:.2f}"


BENCHMARK = driver.Benchmark("routing_tags", __doc__, units, figures)

if __name__ == "__main__":
    raise SystemExit(driver.run(BENCHMARK))
