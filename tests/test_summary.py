"""Headline and order: what is said first, and what is never said."""

from __future__ import annotations

import pytest

from casewise.applications.organs import class_findings, names_disease
from casewise.finding import ABSENT, MEASURE, QUALITY, Finding
from casewise.result import ModelUse, Result
from casewise.summary import NO_ONE_LOOKS, QUESTIONS

CHEST = {"irregularities": ("nodule", "tuberculosis"), "chest-regions": ()}


def result(
    *findings: Finding, detects: dict | None = None, failed: dict[str, str] | None = None, category: str | None = None
) -> Result:
    applications = tuple({"application": name, "failure": reason} for name, reason in (failed or {}).items())
    route = {"category": category} if category else None
    return Result("x.png", ModelUse("m"), findings, route=route, applications=applications, detects=detects or {})


def nodule(probability: float, region: str = "right_lung") -> Finding:
    return Finding("irregularities", "nodule", probability, region)


def test_the_worst_finding_comes_first_with_its_place_and_probability() -> None:
    found = result(Finding("chest-regions", "left_lung", 0.99, kind=MEASURE), nodule(0.3), nodule(0.81), detects=CHEST)
    assert found.summary.headline == "Nodule, right lung, 0.81; 1 more finding"
    assert [finding.probability for finding in found.summary.findings] == [0.81, 0.3]
    assert [finding.label for finding in found.summary.measures] == ["left_lung"]


def test_outlines_and_ratios_are_no_findings() -> None:
    found = result(Finding("heart-chambers", "myocardium", 0.97, kind=MEASURE), detects={"heart-chambers": ()})
    assert found.summary.headline + "." == NO_ONE_LOOKS
    assert not found.summary.findings and not found.summary.not_found


def test_what_was_looked_for_and_not_found_is_named_with_its_score() -> None:
    absent = Finding("irregularities", "tuberculosis", 0.06, "lungs", kind=ABSENT)
    found = result(absent, detects=CHEST, category="chest-xray")
    assert found.summary.headline == "Looked for and not found: nodule, tuberculosis"
    assert [(one.label, one.score) for one in found.summary.not_found] == [("nodule", None), ("tuberculosis", 0.06)]
    assert "Pneumothorax" in found.summary.not_looked_for_sentence
    assert "nodule" not in found.summary.not_looked_for and "tuberculosis" not in found.summary.not_looked_for


@pytest.mark.parametrize("category", [None, "unknown", *QUESTIONS])
@pytest.mark.parametrize("detects", [{}, {"quality": ()}])
def test_nothing_is_ever_found_to_be_absent_where_nobody_looked(category: str | None, detects: dict) -> None:
    blurred = Finding("quality", "blurred", kind=QUALITY)
    for findings in ((), (blurred,)):
        summary = result(*findings, detects=detects, category=category).summary
        assert summary.headline + "." == NO_ONE_LOOKS
        assert not summary.not_found
        assert summary.not_looked_for == QUESTIONS.get(category or "", ())
        assert "else" not in summary.not_looked_for_sentence, "nothing was looked for beside which there were something else"


def test_an_application_that_failed_looked_for_nothing() -> None:
    found = result(detects={"brain-lesions": ("lesions",)}, failed={"brain-lesions": "it refused the image"}, category="brain-mr")
    assert found.summary.headline == "Nothing was looked for: brain-lesions gave no answer"
    assert found.summary.failed == (("brain-lesions", "it refused the image"),)
    assert "lesions" in found.summary.not_looked_for
    both = result(detects=CHEST | {"other": ("fracture",)}, failed={"other": "no time"})
    assert both.summary.headline == "Looked for and not found: nodule, tuberculosis; other gave no answer"


def test_an_application_that_does_not_say_what_it_looks_for_is_not_spoken_for() -> None:
    found = result(Finding("volumetry", "result", measures={"volume_ml": 3.0}, kind=MEASURE), detects={"volumetry": None})
    assert found.summary.headline == "volumetry reported no finding" and not found.summary.not_found
    both = result(detects=CHEST | {"volumetry": None})
    assert both.summary.headline == "Looked for and not found: nodule, tuberculosis; volumetry reported no finding"


def test_a_class_with_three_probabilities_is_one_finding() -> None:
    scores = {"normal": 0.09, "benign": 0.2, "malignant": 0.71}
    found = result(*class_findings(scores, "breast"), detects={"breast": ("malignant lesion", "benign lesion")})
    assert found.summary.headline == "Malignant, 0.71"
    (finding,) = found.findings
    assert list(finding.scores.items()) == [("malignant", 0.71), ("benign", 0.2), ("normal", 0.09)]
    assert [(one.label, one.score) for one in found.summary.not_found] == [("benign lesion", 0.2)]


def test_a_normal_class_is_no_finding() -> None:
    scores = {"normal": 0.8, "benign": 0.15, "malignant": 0.05}
    found = result(*class_findings(scores, "breast"), detects={"breast": ("malignant lesion", "benign lesion")})
    assert found.summary.headline == "Looked for and not found: malignant lesion, benign lesion"
    assert [one.score for one in found.summary.not_found] == [0.05, 0.15]


def test_parts_of_a_finding_are_not_counted_twice() -> None:
    parts = [Finding("brain-lesions", f"lesion {number}", 0.8) for number in range(1, 6)]
    found = result(Finding("brain-lesions", "lesions", 0.99), *parts, detects={"brain-lesions": ("lesions",)})
    assert found.summary.headline == "Lesions, 0.99"


def test_names_of_disease_are_distinguished_from_names_of_anatomy() -> None:
    assert all(map(names_disease, ("Tumor", "whole_tumour", "WM lesions", "pleural effusion", "liver metastases", "GTV nodule")))
    assert not any(map(names_disease, ("left_lung", "myocardium", "hippocampus", "grey matter", "liver", "左肺", "object")))


def test_the_document_says_what_was_looked_for() -> None:
    document = result(nodule(0.4), detects=CHEST, category="chest-xray").to_json()
    assert document["headline"] == "Nodule, right lung, 0.40"
    assert [(one["label"], one["found"]) for one in document["looked_for"]] == [("nodule", True), ("tuberculosis", False)]
    assert "pneumothorax" in document["not_looked_for"]
    assert document["findings"][0]["kind"] == "finding"
