from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jinja2 import Environment

from casewise.errors import CasewiseError
from casewise.finding import MEASURE, Finding
from casewise.header import Header
from casewise.image import Box, Image
from casewise.reporting.chart import LineChart
from casewise.reporting.page import prepare
from casewise.reporting.pictures import window
from casewise.reporting.report import Section, index_row, write_index, write_report
from casewise.reporting.similar import SimilarPicture
from casewise.result import ModelUse, Result, SimilarCase
from casewise.summary import NO_ONE_LOOKS
from tests.reporting.pages import Page, decoded, disc

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>' onload='x"


def check_self_contained(page: Page) -> None:
    for tag, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href"):
                assert value.startswith(("data:", "#")), (tag, value[:80])
    assert [tag for tag, _ in page.elements].count("script") <= 1
    assert not page.find("link") and not page.find("iframe")


def test_a_report_finds_its_templates_prepared(tmp_path, picture, result, monkeypatch):
    prepare()
    monkeypatch.setattr(Environment, "compile", None)
    page = Page.of(write_report(replace(result, similar=()), picture, {"lungs": disc(picture.spatial_shape)}, tmp_path))
    assert "412 cm²" in page.text


def test_everything_a_reader_needs_is_on_the_page(tmp_path, picture, result, similar):
    masks = {"lungs": disc(picture.spatial_shape)}
    path = write_report(result, picture, masks, tmp_path / "new", similar, common=["Both are men."])
    assert path == tmp_path / "new" / "chest_one.html"
    page = Page.of(path)
    for said in (
        "chest one.dcm",
        "Research use only — not a medical device.",
        "Nodule, left lung, 0.70.",
        "412 cm²",
        "4.5 mm",
        "Model refined on 2 similar cases: Dice on held-out similar cases 0.947 → 0.961",
        "96 × 128 pixels",
        "0.5 × 0.5 mm",
        "30:36,40:48",
        "left lung",
        "Both are men.",
        "It was better on 3 cases.",
        "+0.014",
        "The contrast is simulated, the anatomy is real.",
        "6.1 s in all",
        "south",
        "0.930",
    ):
        assert said in page.text, said
    order = [heading["id"] for heading in page.find("h2")]
    wanted = ["h-findings", "h-image", "h-notfound", "h-notlooked", "h-measures", "h-model", "h-similar", "h-times", "h-notes"]
    assert [ident for ident in order if ident in wanted] == wanted
    assert len(page.find("ol", class_="cases")) == 1 and len(page.find("img")) == 2
    assert all(image["alt"] for image in page.find("img"))
    assert all(drawing["aria-label"] for drawing in page.find("svg") if drawing.get("role") == "img")
    for landmark in ("header", "main", "footer"):
        assert len(page.find(landmark)) == 1
    check_self_contained(page)


def test_the_picture_is_embedded_once_at_its_full_resolution(tmp_path, picture, result):
    page = Page.of(write_report(result, picture, {"lungs": disc(picture.spatial_shape)}, tmp_path))
    (embedded,) = page.find("image")
    np.testing.assert_array_equal(decoded(embedded["href"]), window(picture))
    assert (embedded["width"], embedded["height"]) == ("128", "96")
    # Close-ups and the picture without outlines refer to it, and to what is drawn over it.
    assert {use["href"] for use in page.find("use")} == {"#p0", "#p0-drawn"}
    assert embedded["id"] == "p0" and len(page.find("g", id="p0-drawn")) == 1
    # The disc's outline, in half pixels, spans the disc.
    assert len(page.find("path", class_="mask")) >= 1
    # The nodule alone has a box that is always displayed; the lungs' waits for its button.
    assert len(page.find("rect", class_="traced")) >= 1 and len(page.find("rect", class_="alone")) >= 1


def test_the_json_is_the_results_own(tmp_path, picture, result):
    strange = replace(
        result,
        findings=(Finding("a", "b", float("nan"), measures={"x": np.float32(2.5), "n": np.int64(3)}),),
        route={"category": "CXR", "probability": float("inf")},
    )
    page = Page.of(write_report(strange, picture, {}, tmp_path))
    (link,) = page.find("a")
    document = json.loads(base64.b64decode(link["href"].partition(",")[2]), parse_constant=pytest.fail)
    assert document["findings"][0]["probability"] is None
    assert document["findings"][0]["measures"] == {"x": 2.5, "n": 3}
    assert document["model"]["refined_on"] == ["a.png", "b.png"]
    assert document["report"] == "chest_one.html"
    assert link["download"] == "chest_one.json"


def test_hostile_names_stay_text(tmp_path, picture):
    case = SimilarCase(HOSTILE, HOSTILE, 0.5, 0.5, 0.5, HOSTILE, HOSTILE)
    result = Result(
        image=f"/in/{HOSTILE}",
        model=ModelUse(HOSTILE, HOSTILE, (HOSTILE,), "similar", HOSTILE, {HOSTILE: 0.1}, {HOSTILE: 0.2}),
        findings=(Finding(HOSTILE, HOSTILE, 0.5, HOSTILE, Box((10, 10), (20, 20)), measures={HOSTILE: 1.0}),),
        similar=(case,),
        route={"category": HOSTILE, "probability": 0.5},
        seconds={HOSTILE: 1.0},
        notes=(HOSTILE,),
    )
    image = replace(picture, header=Header(modality=HOSTILE, scanner=HOSTILE, sequence=HOSTILE))
    chart = LineChart({HOSTILE: [(0, 1), (1, 2)]}, HOSTILE, HOSTILE, HOSTILE)
    masks = {HOSTILE + "m": disc(picture.spatial_shape)}
    path = write_report(
        result,
        image,
        masks,
        tmp_path,
        [SimilarPicture(case, image, masks)],
        common=[HOSTILE],
        extra=[Section(HOSTILE, (HOSTILE,), chart)],
        name=f"../../{HOSTILE}",
    )
    assert path.parent == tmp_path
    page = Page.of(path)
    check_self_contained(page)
    assert page.text.count("<script>alert(1)</script>") > 15
    index = write_index([index_row(replace(result, report=path), tmp_path)], tmp_path, [(HOSTILE, HOSTILE)])
    page = Page.of(index)
    assert not page.find("script") and not page.find("img")
    (link,) = page.find("a")
    assert link["href"] == path.name


def test_only_the_pages_own_script_may_run(tmp_path, picture, result):
    page = Page.of(write_report(result, picture, {}, tmp_path))
    (policy,) = (meta["content"] for meta in page.find("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy and "unsafe-eval" not in policy


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (1, 3000), (3000, 1), (1, 1, 1), (1, 40, 40), (40, 1, 2), (2, 3, 4), (400, 3, 3), (16, 16, 16)],
)
@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.filterwarnings("error")
def test_every_shape_has_a_report(tmp_path, shape, filled):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 7 if filled else np.zeros(shape, np.float32)
    findings = (Finding("a", "m"), Finding("a", "box", 1.0, None, Box((0,) * len(shape), (1,) * len(shape))))
    masks = {"m": np.full(shape, filled), "empty": np.zeros(shape, bool)}
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), Image(array[None]), masks, tmp_path))
    assert "empty (nothing outlined)" in page.text
    for embedded in page.find("image"):
        assert decoded(embedded["href"]).shape == (int(embedded["height"]), int(embedded["width"]))
    assert bool(page.find("path", class_="mask")) == filled


def test_a_volume_is_displayed_in_three_planes_in_true_proportions(tmp_path):
    image = Image(np.random.default_rng(0).normal(size=(1, 40, 50, 20)), np.diag([1, 1, 3, 1.0]), Header(modality="MR"))
    mask = disc(image.spatial_shape)
    page = Page.of(write_report(Result("x.nii.gz", ModelUse("m")), image, {"blob": mask}, tmp_path))
    sizes = {
        embedded["id"]: (int(embedded["width"]), int(embedded["height"])) for embedded in page.find("image") if "id" in embedded
    }
    assert (sizes["p0"], sizes["p1"], sizes["p2"]) == ((40, 50), (40, 20), (50, 20))
    assert {"0 0 40.0 50.0", "0 0 40.0 60.0", "0 0 50.0 60.0"} <= {drawing.get("viewbox") for drawing in page.find("svg")}
    assert "Axial · slice 10 of 0–19" in page.text
    assert {"RLAP", "RLSI", "APSI"} <= set(page.text.split())


def test_two_equal_pictures_are_not_called_with_and_without_overlay(tmp_path, picture):
    mask = np.zeros(picture.spatial_shape, bool)
    mask[5:20, 5:20] = True
    measure = Finding("organs", "lung", 0.9, kind="measure", mask="lung")
    page = Page.of(write_report(Result("x", ModelUse("m"), (measure,)), picture, {"lung": mask}, tmp_path))
    assert "Structures are drawn where ticked above" in page.text and "With overlay" not in page.text


def test_a_small_mask_has_a_close_up(tmp_path):
    image = Image(np.random.default_rng(0).normal(size=(1, 200, 200)))
    small, large = np.zeros((200, 200), bool), np.zeros((200, 200), bool)
    small[50:60, 100:120] = True
    small[150, 150] = True
    large[10:190, 10:190] = True
    findings = tuple(Finding("a", name) for name in ("small", "large"))
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), image, {"small": small, "large": large}, tmp_path))
    close = [drawing for drawing in page.find("svg") if drawing.get("aria-label", "").startswith("Close-up")]
    assert [drawing["aria-label"] for drawing in close] == [
        "Close-up of small, with outlines",
        "Close-up of small, without outlines",
    ]
    left, top, width, height = (float(number) for number in close[0]["viewbox"].split())
    assert (left + width / 2, top + height / 2) == (110, 55) and width == height == 50


def test_what_lies_together_shares_a_close_up(tmp_path):
    image = Image(np.zeros((1, 200, 200)))
    masks = {name: np.zeros((200, 200), bool) for name in ("inner", "outer", "far")}
    masks["outer"][50:80, 50:80] = True
    masks["inner"][60:70, 60:70] = True
    masks["far"][150:160, 150:160] = True
    findings = tuple(Finding("a", name) for name in masks)
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), image, masks, tmp_path))
    assert "outer, inner · 30 mm across" in page.text and "far · 10 mm across" in page.text


def test_no_overlay_no_second_picture(tmp_path, picture):
    page = Page.of(write_report(Result("x.png", ModelUse("m")), picture, {}, tmp_path))
    assert "No structure was outlined" in page.text and "Nothing was found" not in page.text
    assert NO_ONE_LOOKS in page.text
    assert not page.find("use") and not page.find("input")


def test_colour_images_stay_coloured(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (3, 30, 40), np.uint8)
    image = Image(colour, header=Header(modality="US", spacing_known=False))
    page = Page.of(write_report(Result("us.png", ModelUse("m")), image, {}, tmp_path))
    np.testing.assert_array_equal(decoded(page.find("image")[0]["href"]), np.moveaxis(colour, 0, -1))
    assert "Spacing not known" in page.text


@pytest.mark.parametrize("channels", [1, 3])
def test_the_worst_large_image_stays_under_ten_megabytes(tmp_path, channels):
    noise = np.random.default_rng(0).integers(0, 256, (channels, 2048, 2048), np.uint8)
    speckle = np.random.default_rng(1).random((2048, 2048)) > 0.5
    masks = {"speckle": speckle, "lungs": disc((2048, 2048))}
    path = write_report(Result("x.dcm", ModelUse("m")), Image(noise), masks, tmp_path)
    assert path.stat().st_size < 10_000_000
    page = Page.of(path)
    assert "Pixels are embedded with lossy compression" in page.text or channels == 1
    picture, *drawn = page.find("image")
    assert decoded(picture["href"]).shape[:2] == (2048, 2048)
    # The speckle has no outline that could be written down: it is a see-through picture of the same size.
    assert decoded(drawn[0]["href"]).shape[:2] == (2048, 2048)
    assert len(page.find("path", class_="mask")) >= 1


def test_many_findings_and_many_cases(tmp_path, picture):
    findings = tuple(
        Finding("lesions", f"lesion {n % 7}", n / 1000, None, Box((n % 90, n % 120), (n % 90 + 3, n % 120 + 3)))
        for n in range(1000)
    )
    cases = tuple(SimilarCase(str(n), f"{n}.png", 1 - n / 300) for n in range(300))
    pictures = [SimilarPicture(case, picture) for case in cases]
    path = write_report(
        Result("x", ModelUse("m", "p", tuple(c.image for c in cases), "similar"), findings, cases), picture, {}, tmp_path, pictures
    )
    page = Page.of(path)
    assert "Lesion 5, 1.00; 999 more findings" in page.text and "800 more findings are in the JSON document" in page.text
    assert "276 more" in page.text and "300 cases" in page.text
    assert path.stat().st_size < 3_000_000


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (ModelUse("m"), "The model was used as it is."),
        (ModelUse("none", method="route", reason="Applications that ran: quality."), "Applications that ran: quality."),
        (ModelUse("none", method="route"), "No model of yours was used."),
        (ModelUse("m", "its parent", reason="No archive was given."), "The model was used as it is. No archive was given."),
        (
            ModelUse("m", before={"dice": 0.9}, after={"dice": 0.85}),
            "The parent model was used: the refined one was not better (Dice on held-out similar cases 0.900 → 0.850).",
        ),
        (ModelUse("m", "p", ("a",), "similar"), "Model refined on 1 similar case."),
        (ModelUse("m", method="similar", voted=("a", "b", "c")), "together with the labels of 3 similar cases"),
        (
            ModelUse("m", "p", ("a", "b"), "subset", before={"auc": 0.8}, after={"auc": 0.9}),
            "The model of the most similar subset was used (2 similar cases): AUC on held-out similar cases 0.800 → 0.900.",
        ),
    ],
)
def test_the_key_sentence_says_which_model_answered(tmp_path, picture, model, said):
    assert said in Page.of(write_report(Result("x", model), picture, {}, tmp_path)).text


def test_the_route_is_explained_with_what_ran_and_what_failed(tmp_path, picture):
    scores = [{"category": "chest-xray", "probability": 0.93}, {"category": "hand-xray", "probability": 0.07}]
    route = {"category": "chest-xray", "probability": 0.93, "scores": scores, "prior": {"sentence": "The tags say CT."}}
    ran = (
        {"application": "quality", "findings": 2, "seconds": 0.5, "failure": None},
        {"application": "nodules", "findings": 0, "seconds": 60.0, "failure": "nodules took more than 60 seconds."},
    )
    model = ModelUse("none", method="route")
    page = Page.of(write_report(Result("x", model, route=route, applications=ran), picture, {}, tmp_path))
    assert NO_ONE_LOOKS in page.text and "Nothing was found" not in page.text
    for text in ("chest-xray", "0.930", "hand-xray", "The tags say CT.", "quality", "nodules took more than 60 seconds."):
        assert text in page.text
    assert "no other model" not in page.text


def test_the_route_says_why_an_image_is_unknown(tmp_path, picture):
    tags = [
        {"name": "Modality", "value": "MR", "fits": ["brain-mr"], "wrong": 0.0},
        {"name": "BodyPartExamined", "value": "KNEE <b>", "fits": [], "wrong": 0.154},
    ]
    route = {
        "category": "unknown",
        "probability": 0.85,
        "scores": [{"category": "unknown", "probability": 0.85}, {"category": "brain-mr", "probability": 0.15}],
        "pixels": [{"category": "brain-mr", "probability": 0.971}, {"category": "unknown", "probability": 0.029}],
        "looked": "brain-mr",
        "reasons": ["The tags do not fit brain-mr."],
        "nearest": [{"category": "brain-mr", "share": 0.8}, {"category": "head-ct", "share": 0.2}],
        "views": 9,
        "poses": 4,
        "prior": {"sentence": "The tags say MR KNEE.", "tags": tags},
    }
    text = Page.of(write_report(Result("x", ModelUse("none", method="route"), route=route), picture, {}, tmp_path)).text
    for said in (
        "The tags say MR KNEE. 9 slices were classified. One look left it unsure, so it was looked at in four poses.",
        "Why it is unknown",
        "The tags do not fit brain-mr.",
        "0.150 (pixels alone 0.971)",
        "brain-mr (80 %), head-ct (20 %)",
        "KNEE <b>",
        "no category",
        "15 %",
        "taken as certain",
    ):
        assert said in text


def test_an_image_of_no_known_kind_is_not_recognised_as_one(tmp_path, picture):
    route = {"category": "unknown", "probability": 0.997, "scores": [{"category": "unknown", "probability": 0.997}]}
    page = Page.of(write_report(Result("x", ModelUse("none", method="route"), route=route), picture, {}, tmp_path))
    assert "Recognised as no kind of image that casewise knows (probability 0.997)" in page.text


def test_examples_stand_in_the_route_with_or_without_a_picture(tmp_path, picture, result):
    route = {"category": "chest-xray", "probability": 0.93}
    examples = tuple(SimilarCase(f"k{n}", f"/archive/e{n}.png", 0.9 - n / 10, 0.8, 0.7, "north", "chest-xray") for n in (1, 2))
    routed = replace(result, similar=(), route=route, examples=examples)
    page = Page.of(write_report(routed, picture, {}, tmp_path, examples={"k1": picture}))
    assert page.text.index("Nearest examples of chest-xray") > page.text.index("Route")
    (image,) = page.find("img")
    assert image["alt"] == "Example 1: e1.png"
    for text in ("e1.png", "e2.png", "no picture", "0.800", "0.700", "north · chest-xray"):
        assert text in page.text
    check_self_contained(page)


def test_the_same_input_gives_the_same_bytes(tmp_path, picture, result, similar):
    masks = {"lungs": disc(picture.spatial_shape)}
    first = write_report(result, picture, masks, tmp_path / "a", similar).read_bytes()
    assert write_report(result, picture, masks, tmp_path / "b", similar).read_bytes() == first


def test_a_mask_off_the_grid_and_a_folder_that_is_a_file_are_one_sentence(tmp_path, picture, result):
    with pytest.raises(CasewiseError, match="'lungs' has the grid"):
        write_report(result, picture, {"lungs": np.zeros((3, 3), bool)}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CasewiseError, match="cannot be written"):
        write_report(result, picture, {}, tmp_path / "file")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_index_links_each_report_and_names_each_failure(tmp_path, picture, result):
    report = write_report(result, picture, {}, tmp_path / "chest one")
    index = write_index(
        [index_row(one, tmp_path) for one in (replace(result, report=report), Result("y.png", ModelUse("m")))],
        tmp_path,
        [("bad.dcm", "It is empty."), ("/in/a.dcm", "/in/a.dcm: It is cut.")],
    )
    page = Page.of(index)
    assert page.text.count("/in/a.dcm") == 1 and "It is cut." in page.text
    (link,) = page.find("a")
    assert link["href"] == "chest%20one/chest_one.html"
    assert "2 reports, 2 failed" in page.text and "It is empty." in page.text and "Nodule, left lung, 0.70" in page.text


def test_a_real_chest_radiograph(shared_data: Path, tmp_path):
    from PIL import Image as Pillow

    array = np.asarray(Pillow.open(shared_data / "jsrt/images/JPCLN012.png"))
    masks = {}
    for name in ("left_lung", "right_lung"):
        mask = Pillow.open(shared_data / f"jsrt/masks/{name}/JPCLN012.png").convert("L")
        masks[name] = np.asarray(mask.resize(array.shape[::-1], Pillow.Resampling.NEAREST)) > 0
    image = Image(array[None], np.diag([0.175, 0.175, 1, 1]), Header(modality="CR"))
    path = write_report(Result("JPCLN012.png", ModelUse("m")), image, masks, tmp_path)
    page = Page.of(path)
    np.testing.assert_array_equal(decoded(page.find("image")[0]["href"]), window(image))
    assert path.stat().st_size < 5_000_000


def test_the_most_probable_box_is_displayed_close_up_first(tmp_path):
    image = Image(np.zeros((1, 400, 400)))
    boxes = {0.2: Box((10, 10), (60, 60)), 0.9: Box((200, 200), (220, 220)), 0.5: Box((300, 50), (330, 80))}
    findings = tuple(Finding("a", "nodule", probability=chance, box=box) for chance, box in boxes.items())
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), image, {}, tmp_path))
    close = [drawing["aria-label"] for drawing in page.find("svg") if drawing.get("aria-label", "").startswith("Close-up")]
    assert close == [f"Close-up of nodule {chance} %, {how} outlines" for chance in (90, 50, 20) for how in ("with", "without")]


def test_outlines_wait_to_be_asked_for_and_findings_are_drawn_at_once(tmp_path, picture):
    masks = {"lungs": disc(picture.spatial_shape), "tumour": np.roll(disc(picture.spatial_shape), 9, axis=1)}
    findings = (Finding("a", "lungs", kind=MEASURE), Finding("a", "tumour", 0.7))
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), picture, masks, tmp_path))
    boxes = {box["data-layer"]: "checked" in box for box in page.find("input", class_="structure")}
    assert (boxes["m0"], boxes["m1"]) == (False, True)
    assert page.find("path", class_="m0") and all("off" in path["class"].split() for path in page.find("path", class_="m0"))
    assert page.find("path", class_="m1") and not any("off" in path["class"].split() for path in page.find("path", class_="m1"))


def test_the_displayed_slice_is_the_worst_findings_and_not_the_largest_outlines(tmp_path):
    image = Image(np.random.default_rng(0).normal(size=(1, 30, 30, 40)), np.eye(4), Header(modality="MR"))
    anatomy, lesion, box = (np.zeros(image.spatial_shape, bool) for _ in range(3))
    anatomy[2:28, 2:28, 30:36] = True
    lesion[10:14, 10:14, 5:8] = True
    box[20:22, 20:22, 14:16] = True
    masks = {"brain": anatomy, "lesion": lesion}
    findings = (
        Finding("a", "brain", 0.99, kind=MEASURE),
        Finding("b", "spot", 0.2, box=Box.around(box)),
        Finding("a", "lesion", 0.8),
    )
    page = Page.of(write_report(Result("x", ModelUse("m"), findings), image, masks, tmp_path))
    assert "Axial · slice 6 of 0–39" in page.text
    page = Page.of(write_report(Result("x", ModelUse("m"), findings[:2]), image, {"brain": anatomy}, tmp_path))
    assert "Axial · slice 14 of 0–39" in page.text
