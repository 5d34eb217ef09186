"""Analyses as jobs, their results on the case page, and verdicts; on real files, by the real analyzer."""

from __future__ import annotations

import base64
import csv
import io
import zlib

import numpy as np

from casewise.finding import Finding, SegmentPicture
from casewise.image import Box
from casewise.pipeline.recorded import findings_of, recorded
from casewise.result import ModelUse, Result


def _unpacked(patch, shape):
    box = Box(tuple(low for low, _ in patch["box"]), tuple(high for _, high in patch["box"]))
    bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(patch["data"])), np.uint8))
    mask = np.zeros(shape, bool)
    mask[box.slices] = bits[: int(np.prod(box.shape))].reshape(box.shape).astype(bool)
    return mask


def test_analysis_is_recorded_and_displayed(caller, app, archive, keys, work):
    jobs, client = app.state.services.jobs, caller("reader")
    assert client.get(f"/api/v1/results/{keys[0]}").status_code == 404
    number = jobs.add("analyse", {"cases": [keys[0], keys[4]], "application": "quality"}, created_by="ann")
    assert work() == {"done": 1}
    assert jobs.get(number).result == {"analysed": 2, "failed": [], "skipped": []}
    found = client.get(f"/api/v1/results/{keys[4]}").json()
    assert found["headline"] and found["key"] == keys[4] and found["earlier"] == 0
    assert found["applications"] == ["quality"]
    assert found["model"]["sentence"]
    report = client.get(found["report"])
    assert report.headers["content-type"].startswith("text/html") and "sandbox" in report.headers["content-security-policy"]
    for text in (report.text, client.get(f"/api/v1/results/{keys[4]}").text, str(archive.results(keys[4]))):
        assert "DOE" not in text and "Jane" not in text and str(archive.folder) not in text
    assert f"DICOM {keys[4][:8]}" in report.text
    assert {case["key"]: case["state"] for case in client.get("/api/v1/cases").json()["cases"]}[keys[4]] == "analysed"
    jobs.add("analyse", {"cases": [keys[4]], "application": "quality"})
    work()
    again = client.get(f"/api/v1/results/{keys[4]}").json()
    assert again["earlier"] == 1 and again["id"] != found["id"]


def test_job_that_was_cut_off_analyses_only_what_is_left(app, archive, keys, work):
    jobs = app.state.services.jobs
    number = jobs.add("analyse", {"cases": [keys[0], keys[1]], "application": "quality"})
    archive.record_result({"job": number, "headline": "done before the worker was killed", "findings": []}, keys[0])
    work()
    assert [len(archive.results(key)) for key in keys[:2]] == [1, 1]
    assert jobs.get(number).result == {"analysed": 2, "failed": [], "skipped": []}


def test_what_cannot_be_analysed_is_named_without_its_file(app, archive, keys, work, tmp_path):
    (tmp_path / "given" / "Jane Doe" / "film-0.png").unlink()
    jobs = app.state.services.jobs
    some = jobs.add("analyse", {"cases": [keys[0], keys[1], "no-such-case"], "application": "quality"})
    alone = jobs.add("analyse", {"cases": [keys[0]], "application": "quality"})
    other = jobs.add("analyse", {"cases": [keys[1]], "application": "no-such-application"})
    assert work() == {"done": 1, "failed": 2}
    failed = {one["key"]: one["reason"] for one in jobs.get(some).result["failed"]}
    assert set(failed) == {keys[0], "no-such-case"} and jobs.get(some).result["analysed"] == 1
    assert "film-0.png was moved" in failed[keys[0]] and "Jane" not in failed[keys[0]] and "/" not in failed[keys[0]]
    assert "film-0.png was moved" in jobs.get(alone).error
    assert "no-such-application" in jobs.get(other).error


def test_masks_of_findings(caller, archive, keys):
    mask = archive.case(keys[0]).load_masks["disc"]()
    path = archive.folder / next(label["path"] for label in archive.labels(keys[0]))
    findings = [
        {
            "application": "a",
            "label": "disc",
            "kind": "finding",
            "mask": path.relative_to(archive.folder).as_posix(),
            "probability": 0.7,
        },
        {"application": "a", "label": "none", "kind": "measure", "mask": None, "measures": {"area_mm2": 120.0}},
        {"application": "a", "label": "outside", "kind": "finding", "mask": "../../etc/passwd"},
    ]
    archive.record_result({"headline": "x", "findings": findings}, keys[0])
    client = caller("reader")
    found = client.get(f"/api/v1/results/{keys[0]}").json()
    assert [(one["label"], one["mask"]) for one in found["findings"]] == [("disc", "0"), ("outside", "2")]
    assert found["measures"][0]["sentence"] == "None; area 1.2 cm²" or "120" in found["measures"][0]["sentence"]
    np.testing.assert_array_equal(_unpacked(client.get(f"/api/v1/results/{keys[0]}/masks/0").json(), mask.shape), mask)
    assert client.get(f"/api/v1/results/{keys[0]}/masks/2").status_code == 400
    for name in ("1", "3", "x", "-1", "..%2F..%2Fcasewise.toml"):
        assert client.get(f"/api/v1/results/{keys[0]}/masks/{name}").status_code == 404, name
    assert client.get(f"/api/v1/results/{keys[0]}/report").status_code == 404


def test_verdicts(caller, archive, keys):
    finding = {"application": "films", "label": "nodule", "kind": "finding", "probability": 0.7}
    archive.record_result({"headline": "x", "findings": [finding, {**finding, "label": "=cmd()"}]}, keys[0])
    ann, ben = caller("annotator", "ann"), caller("annotator", "ben")
    result = ann.get(f"/api/v1/results/{keys[0]}").json()["id"]

    def give(client, agree, finding=0, result=result, note=""):
        return client.post(
            f"/api/v1/results/{keys[0]}/verdict", json={"result": result, "finding": finding, "agree": agree, "note": note}
        )

    assert give(ann, True).json()[0]["agree"] is True
    assert give(ann, False, note="a vessel").status_code == 200
    assert give(ben, True).status_code == 200 and give(ben, False, 1).status_code == 200
    assert give(ann, True, finding=7).status_code == 404
    assert give(ann, True, result="0").status_code == 409
    assert give(caller("reader", "rea"), True).status_code == 403
    shown = ben.get(f"/api/v1/results/{keys[0]}").json()["findings"][0]["verdicts"]
    assert {(one["user"], one["agree"], one["note"]) for one in shown} == {("ann", False, "a vessel"), ("ben", True, "")}
    assert ben.get("/api/v1/verdicts").json() == [
        {"application": "films", "label": "=cmd()", "agree": 0, "disagree": 1},
        {"application": "films", "label": "nodule", "agree": 1, "disagree": 1},
    ]
    table = caller("admin", "root").get("/api/v1/verdicts/export.csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["agree"] for row in rows] == ["True", "False", "True", "False"]
    assert rows[3]["label"] == "'=cmd()", "no formula for a spreadsheet"
    assert ben.get("/api/v1/verdicts/export.csv").status_code == 403
    archive.record_result({"headline": "newer", "findings": []}, keys[0])
    assert give(ann, True).status_code == 409


def test_long_analysis_gives_way_to_more_urgent_jobs(app, archive, keys, work, monkeypatch):
    jobs, order = app.state.services.jobs, []
    record = type(archive).record_results

    def recorded(self, rows):
        if rows and not order:  # a person accepts a mask while the analysis runs
            jobs.add("embed", {}, priority=5)
        order.extend(["analysed"] * len(rows))
        return record(self, rows)

    monkeypatch.setattr(type(archive), "record_results", recorded)
    monkeypatch.setattr(type(archive), "embed", lambda *_, **__: order.append("embedded") or 0)
    number = jobs.add("analyse", {"cases": keys, "application": "quality"})
    assert work() == {"given back": 1, "done": 2}
    assert jobs.get(number).result == {"analysed": 5, "failed": [], "skipped": []} and jobs.get(number).tries == 1
    assert order.count("analysed") == 5 and 0 < order.index("embedded") < 5


def test_a_finding_of_a_segment_leads_to_where_the_report_opens_it(caller, archive, keys):
    segment = {"region": "left lung", "box": [[0, 9], [0, 9]], "scale": 1.0, "picture": "results/x/segment.png"}
    findings = [
        {"application": "a", "label": "nodule", "kind": "finding", "probability": 0.2, "segment": segment},
        {"application": "a", "label": "mass", "kind": "finding", "probability": 0.7},
    ]
    about = {"headline": "x", "findings": findings}
    archive.record_result({**about, "report": "results/x/film.html"}, keys[0])
    read = caller("reader").get
    address = f"/api/v1/results/{keys[0]}/report"
    found = read(f"/api/v1/results/{keys[0]}").json()["findings"]
    assert [(one["label"], one["segment"]) for one in found] == [("mass", None), ("nodule", f"{address}#finding-0")]
    archive.record_result(about, keys[0])
    assert [one["segment"] for one in read(f"/api/v1/results/{keys[0]}").json()["findings"]] == [None, None]


def test_a_recorded_segment_comes_back(tmp_path):
    picture = tmp_path / "results" / "segment.png"
    picture.parent.mkdir()
    picture.write_bytes(b"")
    seen = SegmentPicture("left lung", Box((2, 3), (12, 18)), 1.0, picture)
    result = Result("film.png", ModelUse("none"), (Finding("a", "nodule", 0.5, box=Box((4, 5), (7, 9)), segment=seen),))
    document = recorded(result, tmp_path)
    assert document["findings"][0]["segment"]["picture"] == "results/segment.png"
    assert findings_of(document, tmp_path)[0].segment == seen
    picture.unlink()
    assert findings_of(document, tmp_path)[0].segment is None
