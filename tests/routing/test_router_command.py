"""``casewise route`` and ``casewise train router``: what they answer, their exit codes, and the router that is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

import casewise
from casewise.cli import main
from casewise.routing.route import UNKNOWN
from casewise.routing.router import Router
from tests.routing.test_router import picture

CATEGORIES = {
    "abdomen-ct", "brain-mr", "breast-mr", "breast-ultrasound", "cardiac-mr", "chest-ct", "chest-xray",
    "fundus-photograph", "hand-xray", "head-ct", "histology",
    "prostate-mr",
}  # fmt: skip


@pytest.fixture(scope="module")
def shipped() -> Router:
    return Router.load()


def packaged(name: str) -> Path:
    """A file that lies inside pydicom itself: nothing is fetched."""
    return Path(str(get_testdata_file(name, download=False)))


def test_the_shipped_router_knows_its_categories_and_is_small(shipped: Router) -> None:
    assert set(shipped.categories) == CATEGORIES
    folder = Path(casewise.__file__).parent / "models" / "shipped" / "router"
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12 << 20
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert "python -m recipes.router" in card and "MedNIST" in card and "ACDC" in card


def test_what_is_no_scan_of_a_body_is_unknown(shipped: Router) -> None:
    for name in ("SC_rgb_rle.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_ybr_full_422_uncompressed.dcm", "rtdose_1frame.dcm"):
        assert shipped.route(casewise.read(packaged(name)), tags=False).category == UNKNOWN, name


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "examples_overlay.dcm", "examples_rgb_color.dcm"])
def test_a_tag_that_fits_nothing_seen_is_never_hidden(shipped: Router, name: str) -> None:
    """Small or cropped pictures of other body parts: unknown, or a category of their modality, or openly contradicted."""
    image = casewise.read(packaged(name))
    route = shipped.route(image)
    assert route.prior.fits is not None
    assert route.category == UNKNOWN or route.category in route.prior.fits or route.prior.contradicted


def test_route_answers_one_document_and_names_what_cannot_be_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(tmp_path / "noise.png")
    (tmp_path / "text.dcm").write_text("no DICOM file")
    code = main(["route", str(tmp_path / "noise.png"), str(tmp_path / "text.dcm"), "--json"])
    captured = capfd.readouterr()
    assert code == 1
    assert "text.dcm" in captured.err and len(captured.err.strip().splitlines()) == 1
    (answer,) = json.loads(captured.out)
    assert answer["image"] == str(tmp_path / "noise.png")
    assert answer["category"] == UNKNOWN
    chances = [score["probability"] for score in answer["scores"]]
    assert chances == sorted(chances, reverse=True)
    assert answer["probability"] == chances[0]
    assert {score["category"] for score in answer["scores"]} == CATEGORIES | {UNKNOWN}
    assert "quality" in answer["applications"]


def test_route_tells_a_person_what_the_tags_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["route", str(packaged("MR_small.dcm"))]) == 0
    out = capfd.readouterr().out
    assert "The tags say MR" in out and "applications:" in out
    assert main(["route", str(packaged("MR_small.dcm")), "--ignore-tags", "--classifier", "svm"]) == 0
    assert "The tags say" not in capfd.readouterr().out


def test_a_category_that_is_out_of_the_question_is_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(tmp_path / "noise.png")
    assert main(["route", str(tmp_path / "noise.png")]) == 0
    first = capfd.readouterr().out.splitlines()[0]
    assert "unknown" in first and " 0.0%" not in first


def test_route_needs_a_router(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["route", str(packaged("MR_small.dcm")), "--router", str(tmp_path)]) == 2
    assert "holds no router" in capfd.readouterr().err


def test_an_archives_table_of_categories_counts_as_in_analyses_with_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image, archive = str(packaged("MR_small.dcm")), str(tmp_path / "archive")
    assert main(["route", image, "--archive", archive]) == 2
    assert archive in capfd.readouterr().err
    casewise.Archive.open(archive, create=True).close()

    def fits() -> list[str]:
        assert main(["route", image, "--archive", archive, "--json"]) == 0
        (answer,) = json.loads(capfd.readouterr().out)
        return list(answer["prior"]["fits"])

    assert "head-ct" not in fits()
    (tmp_path / "archive" / "categories.toml").write_text('[category.head-ct]\nname = "Head"\nmodalities = ["MR"]\n')
    assert "head-ct" in fits()


def test_a_router_is_trained_on_an_archive_and_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for kind, name in (("disc", "disc-xray"), ("bars", "bars-ct")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for seed in range(12):
            grey = (picture(kind, seed).clip(0, 1) * 255).astype(np.uint8)
            Pillow.fromarray(grey).save(folder / f"{kind}{seed}.png")
    archive, made = str(tmp_path / "archive"), str(tmp_path / "router")
    assert main(["import", archive, str(tmp_path / "images")]) == 0
    own = Path(archive) / "categories.toml"
    own.write_text('[category.disc-xray]\nname = "Disc"\nmodalities = ["XRAY"]\n')
    assert main(["train", "router", archive, "--output", made]) == 2
    assert "XRAY" in capfd.readouterr().err and not Path(made).exists()
    own.write_text('[category.disc-xray]\nname = "Disc"\nmodalities = ["DX"]\nparts = ["DISC"]\n')
    assert main(["train", "router", archive, "--output", made, "--classifier", "svm"]) == 0
    assert main(["train", "router", archive, "--output", made]) == 2
    assert (Path(made) / "categories.toml").is_file()
    capfd.readouterr()
    assert main(["route", str(tmp_path / "images" / "disc-xray" / "disc3.png"), "--router", made, "--json"]) == 0
    (answer,) = json.loads(capfd.readouterr().out)
    assert answer["classifier"] == "svm"
    assert {score["category"] for score in answer["scores"]} == {"disc-xray", "bars-ct", UNKNOWN}
    assert answer["nearest"] and isinstance(answer["reasons"], list)
