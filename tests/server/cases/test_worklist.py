"""The worklist and one case, over HTTP, on an archive of real files."""

from __future__ import annotations

import time

import sqlalchemy as sa

from casewise.server.store import efforts


def _keys(answer):
    assert answer.status_code == 200, answer.text
    return [case["key"] for case in answer.json()["cases"]]


def _result(*findings, headline="something"):
    return {"headline": headline, "findings": [{"label": label, "probability": p, "kind": "finding"} for label, p in findings]}


def test_worklist_lists_newest_first_in_pages(caller, keys):
    client = caller("reader")
    first = client.get("/api/v1/cases", params={"limit": 2})
    assert _keys(first) == keys[::-1][:2]
    assert first.json()["total"] == 5
    seen = _keys(first)
    following = first.json()["next"]
    while following:
        page = client.get("/api/v1/cases", params={"limit": 2, "after": following})
        seen += _keys(page)
        assert page.json()["counts"] == {}
        following = page.json()["next"]
    assert seen == keys[::-1]


def test_worklist_names_no_folder_and_no_dicom_file(caller, keys):
    text = caller("reader").get("/api/v1/cases").text
    assert "Jane" not in text and "JANE" not in text and "/" not in text.replace("\\/", "")
    names = {case["key"]: case["name"] for case in caller("reader").get("/api/v1/cases").json()["cases"]}
    assert names[keys[0]] == "film-0.png"
    assert names[keys[4]] == f"DICOM {keys[4][:8]}"
    assert _keys(caller("reader").get("/api/v1/cases", params={"text": "doe"})) == []


def test_worklist_filters(caller, archive, keys):
    client = caller("reader")
    for query, expected in {
        "category=film": keys[2::-1],
        "site=south": [keys[3]],
        "structure=disc": keys[1::-1],
        "text=FILM-1": [keys[1]],
        "text=%25": [],
        f"text={keys[3][:9]}": [keys[3]],
        "text=south": [keys[3]],
        "category=film&structure=disc&text=film-0": [keys[0]],
        "site=nowhere": [],
    }.items():
        assert _keys(client.get(f"/api/v1/cases?{query}")) == expected, query


def test_findings_filter_and_order(caller, archive, keys):
    archive.record_result(_result(("nodule", 0.4)), keys[0])
    archive.record_result(_result(("nodule", 0.9), ("fracture", 0.2), headline="Nodule, 0.90"), keys[2])
    archive.record_result(_result(), keys[3])
    client = caller("reader")
    page = client.get("/api/v1/cases", params={"order": "finding", "limit": 3})
    assert _keys(page) == [keys[2], keys[0], keys[4]]
    assert _keys(client.get("/api/v1/cases", params={"order": "finding", "after": page.json()["next"]})) == [keys[3], keys[1]]
    one = client.get("/api/v1/cases", params={"finding": "fracture"}).json()["cases"]
    assert [case["key"] for case in one] == [keys[2]]
    assert one[0]["headline"] == "Nodule, 0.90"
    assert one[0]["findings"][0] == {"label": "nodule", "probability": 0.9, "region": None}
    archive.record_result(_result(("lesions", 0.8), ("lesion 1", 0.8), ("lesion 2", 0.3)), keys[1])
    counted = client.get("/api/v1/cases").json()
    assert counted["counts"]["finding"] == {"nodule": 2, "fracture": 1, "lesions": 1}, "what a finding counts is none of its own"
    archive.record_result(_result(), keys[2])  # analysed again, and nothing found any more
    assert _keys(client.get("/api/v1/cases", params={"finding": "nodule"})) == [keys[0]]


def test_states(caller, archive, store, keys):
    archive.record_result(_result(), keys[0])
    archive.record_result(_result(), keys[1])
    archive.add(
        archive.folder / archive.images()[3].path, {"a": archive.case(keys[3]).image.array[0] > 500}, origin={"how": "interactive"}
    )
    with store.write() as connection:
        values = {"image_key": keys[1], "structure": "disc", "user": "ann", "strokes": 2, "seconds": 9.0, "ended": time.time()}
        connection.execute(sa.insert(efforts).values(**values))
    client = caller("annotator")
    assert client.put(f"/api/v1/cases/{keys[4]}/assignment", json={"state": "done"}).json()["assigned"] == "ann"
    page = client.get("/api/v1/cases").json()
    states = {case["key"]: case["state"] for case in page["cases"]}
    assert [states[key] for key in keys] == ["analysed", "annotated", "new", "annotated", "done"]
    assert page["counts"]["state"] == {"analysed": 1, "annotated": 2, "new": 1, "done": 1}
    assert page["counts"]["category"] == {"film": 3, "volume": 1}
    assert page["counts"]["structure"] == {"disc": 2, "a": 1}
    for state, expected in {"new": [keys[2]], "annotated": [keys[3], keys[1]], "done": [keys[4]]}.items():
        assert _keys(client.get("/api/v1/cases", params={"state": state})) == expected


def test_assignment(caller, keys):
    ann, ben = caller("annotator", "ann"), caller("annotator", "ben")
    assert ann.put(f"/api/v1/cases/{keys[0]}/assignment", json={"user": "ann"}).json()["assigned"] == "ann"
    assert _keys(ann.get("/api/v1/cases?mine=true")) == [keys[0]]
    assert _keys(ben.get("/api/v1/cases?mine=true")) == []
    assert _keys(ben.get("/api/v1/cases?assigned=ann")) == [keys[0]]
    assert _keys(ben.get("/api/v1/cases?assigned=")) == keys[:0:-1]
    refused = ben.put(f"/api/v1/cases/{keys[0]}/assignment", json={"user": "nobody-here"})
    assert refused.status_code == 400 and "nobody-here" in refused.json()["detail"]
    assert ann.put(f"/api/v1/cases/{keys[0]}/assignment", json={}).json()["assigned"] is None
    assert caller("reader").put(f"/api/v1/cases/{keys[0]}/assignment", json={}).status_code == 403


def test_case_with_its_labels_and_facts(caller, keys):
    client = caller("reader")
    case = client.get(f"/api/v1/cases/{keys[0]}").json()
    assert case["structures"] == ["disc"] and case["labels"][0]["kind"] == "mask"
    assert case["shape"] == [48, 48] and case["channels"] == ["channel 1"]
    scan = client.get(f"/api/v1/cases/{keys[4]}").json()
    assert scan["facts"]["modality"] == "MR" and "Jane" not in client.get(f"/api/v1/cases/{keys[4]}").text


def test_what_cannot_be(caller, keys):
    client = caller("reader")
    for path in ("nothing", keys[0].upper() + "0", "..%2F..%2Fetc%2Fpasswd"):
        assert client.get(f"/api/v1/cases/{path}").status_code == 404, path
    for query in ("after=x", "after=9999999999999999999", "order=finding&after=abc_3", "order=finding&after=0.5_"):
        answer = client.get(f"/api/v1/cases?{query}")
        assert answer.status_code == 400 and "after" in answer.json()["detail"], query
    assert client.get("/api/v1/cases?limit=100000").status_code == 422
