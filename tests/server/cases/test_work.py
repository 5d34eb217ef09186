"""The jobs behind sets and models, done by a real worker on real files."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from functools import partial

import numpy as np
import SimpleITK
import sqlalchemy as sa

from casewise.formats import write
from casewise.image import Image
from casewise.interaction.sets import guidance, leave_one_out
from casewise.models import Model, shipped
from casewise.server import prepared
from casewise.server.store import set_images
from tests.server.cases.conftest import disc, picture
from tests.server.cases.test_files import OBLIQUE


def _films(archive, tmp_path, count, start=100):
    """More pictures of a disc, with its mask; their keys."""
    found = []
    for number in range(start, start + count):
        path = write(tmp_path / f"more-{number}.png", Image(picture(number)[None]))
        found.append(archive.add(path, {"disc": disc(number)}, category="film", name=str(path)))
    return found


def _set(client, **order):
    return client.post("/api/v1/sets", json={"name": "discs", "structure": "disc", "strategy": "first", **order}).json()


def _states(store):
    with store.read() as connection:
        return {row.image_key: row for row in connection.execute(sa.select(set_images))}


def test_prepared_image_opens_with_guess_and_refined_model(caller, app, archive, keys, work, monkeypatch):
    brief = partial(guidance.prepare, settings=replace(guidance.REFINEMENT, steps=2))
    monkeypatch.setattr(guidance, "prepare", brief)
    jobs = app.state.services.jobs
    number = jobs.add("prepare", {"case": keys[2], "structure": "disc"})
    assert work() == {"done": 1}
    result = jobs.get(number).result
    assert result["cases"] == 2 and "refined on 2 accepted cases" in result["reason"]
    initial = shipped.load("interactive_2d")
    found = prepared.load(archive, keys[2], "disc", initial)
    assert found.model.key != initial.key and {case.key for case in found.cases} == set(keys[:2])
    assert result["guess"] == (found.guess is not None)
    session = caller().post("/api/v1/sessions", json={"case": keys[2], "structure": "disc"}).json()
    assert session["reason"] == found.reason and set(session["similar"]) == set(keys[:2])
    prepared.forget(archive.folder, keys[2], "disc")
    assert prepared.load(archive, keys[2], "disc", initial) is None
    prepared.prune_models(archive.folder, ())
    assert prepared.load_model(archive.folder, found.model.key).key == found.model.key, "a young one stays"


def test_damaged_preparation_counts_as_none(archive, keys):
    initial = shipped.load("interactive_2d")
    prepared.save(archive, keys[2], "disc", initial, guidance.Prepared(initial, disc(2), (), "a reason"))
    found = prepared.load(archive, keys[2], "disc", initial)
    np.testing.assert_array_equal(found.guess, disc(2))
    assert prepared.is_there(archive.folder, keys[2], "disc") and not prepared.is_there(archive.folder, keys[2], "heart")
    (path,) = (archive.folder / "prepared").glob("*.npz")
    path.write_bytes(path.read_bytes()[:200])
    assert prepared.load(archive, keys[2], "disc", initial) is None


def test_wrong_mask_is_the_most_doubtful(caller, app, archive, store, keys, work, tmp_path):
    _films(archive, tmp_path, 3)
    image = archive.case(keys[0]).image
    archive.add_masks(keys[0], image, {"disc": np.eye(48, dtype=bool) | (image.array[0] > 250)})
    number = _set(caller(), category="film")["id"]
    app.state.services.jobs.add("score", {"set": number})
    assert work() == {"done": 1}
    doubts = {key: row.doubt for key, row in _states(store).items() if row.state == "accepted"}
    assert len(doubts) == 5 and max(doubts, key=doubts.get) == keys[0]
    assert all(0 <= doubt <= 1 for doubt in doubts.values())
    assert caller().get(f"/api/v1/sets/{number}").json()["images"][0]["key"] == keys[0]


def test_doubt_is_never_that_of_an_earlier_mask(caller, app, archive, store, keys, work, tmp_path, monkeypatch):
    _films(archive, tmp_path, 3)
    number = _set(caller(), category="film")["id"]
    shared, comparing, accepts = app.state.services, leave_one_out.leave_one_out, iter([keys[0]])

    def meanwhile(case, *others):
        """While the first mask is compared, its person accepts a better one."""
        found = comparing(case, *others)
        for key in accepts:
            shared.sets.accepted(key, "disc", "ann", strokes=2, seconds=3.0, set_id=number)
        return found

    monkeypatch.setattr(leave_one_out, "leave_one_out", meanwhile)
    job = shared.jobs.add("score", {"set": number})
    work()
    assert shared.jobs.get(job).result == {"set": number, "scored": 4}
    work()
    doubts = {key: row.doubt for key, row in _states(store).items() if row.state == "accepted"}
    assert len(doubts) == 5 and None not in doubts.values()
    archive.add_masks(keys[1], archive.case(keys[1]).image, {"disc@ben": disc(5)}, origin={"user": "ben"})
    order = {"structure": "disc", "name": "disc@ben"}
    assert caller("admin", "root").put(f"/api/v1/cases/{keys[1]}/final", json=order).status_code == 200
    assert _states(store)[keys[1]].doubt is None
    work()
    assert _states(store)[keys[1]].doubt not in (None, doubts[keys[1]])


def test_uncertainty_is_measured_for_images_that_wait(caller, app, archive, store, keys, work):
    number = _set(caller(), cases=[keys[0], keys[1], keys[2], keys[4]], strategy="uncertainty")["id"]
    app.state.services.jobs.add("embed", {}, priority=5)
    app.state.services.jobs.add("uncertainty", {"set": number})
    assert work() == {"done": 2}
    measured = {key: row.uncertainty for key, row in _states(store).items() if row.uncertainty is not None}
    assert set(measured) == {keys[2], keys[4]} and all(0 <= value <= 1 for value in measured.values())
    following = caller().post(f"/api/v1/sets/{number}/next").json()
    assert following["key"] == max(measured, key=measured.get) and "disagree most" in following["reason"]


def test_jobs_of_what_is_not_there_say_so(app, keys, work):
    jobs = app.state.services.jobs
    numbers = [
        jobs.add("score", {"set": 99}),
        jobs.add("prepare", {"case": "nothing", "structure": "disc"}),
        jobs.add("export", {"set": 99}),
        jobs.add("import", {"upload": "../../etc"}),
    ]
    assert work() == {"failed": 4}
    assert all(jobs.get(number).error.endswith(".") for number in numbers)


def test_export_is_a_folder_for_nnunet(caller, app, archive, keys, work, tmp_path):
    volume = np.random.default_rng(0).integers(0, 900, (9, 11, 7)).astype(np.int16)
    path = write(tmp_path / "oblique.nii.gz", Image(volume[None], OBLIQUE))
    key = archive.add(path, {"lesion": volume > 500})
    client = caller()
    number = client.post("/api/v1/sets", json={"name": "lesions/../x", "structure": "lesion"}).json()["id"]
    assert client.get(f"/api/v1/sets/{number}/export?format=nnunet").status_code == 404
    job = client.post(f"/api/v1/sets/{number}/export").json()
    assert job["kind"] == "export" and job["state"] == "waiting"
    work()
    result = client.get(job["url"]).json()["result"]
    answer = client.get(result["url"])
    assert answer.status_code == 200 and '"lesions_.._x.zip"' in answer.headers["content-disposition"]
    assert client.get(f"/api/v1/sets/{number}/export?format=nnunet").content == answer.content
    assert caller("reader", "rea").get(result["url"]).status_code == 403
    with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
        packed.extractall(tmp_path / "raw")
    about = json.loads((tmp_path / "raw" / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "lesion": 1} and about["numTraining"] == 1 and about["file_ending"] == ".nii.gz"
    image = SimpleITK.ReadImage(str(tmp_path / "raw" / "imagesTr" / f"{key}_0000.nii.gz"))
    label = SimpleITK.ReadImage(str(tmp_path / "raw" / "labelsTr" / f"{key}.nii.gz"))
    given = SimpleITK.ReadImage(str(path))
    for one in (image, label):
        for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            np.testing.assert_allclose(getattr(one, name)(), getattr(given, name)(), atol=1e-5)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(given))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(label), (volume > 500).transpose(2, 1, 0))
    report = archive.import_paths([tmp_path / "raw"])  # and casewise itself reads it as nnU-Net's
    assert report.masks == {"lesion": 1} and not report.failed


def test_export_of_pictures(caller, app, archive, keys, work, tmp_path):
    number = _set(caller())["id"]
    job = caller().post(f"/api/v1/sets/{number}/export").json()
    work()
    with zipfile.ZipFile(io.BytesIO(caller().get(f"/api/v1/sets/{number}/export/{job['id']}").content)) as packed:
        packed.extractall(tmp_path / "raw")
    label = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "raw" / "labelsTr" / f"{keys[0]}.nii.gz")))
    image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "raw" / "imagesTr" / f"{keys[0]}_0000.nii.gz")))
    assert label.shape == image.shape
    assert np.squeeze(image)[np.squeeze(label) > 0].mean() > np.squeeze(image)[np.squeeze(label) == 0].mean() + 60, "not transposed"
    caller().post(f"/api/v1/sets/{number}/export")
    work()
    assert caller().get(f"/api/v1/sets/{number}/export/{job['id']}").status_code == 404, "the newest alone is kept"


def test_training_makes_a_model_that_the_archive_knows(caller, app, archive, work, tmp_path):
    _films(archive, tmp_path, 6)
    admin = caller("admin", "root")
    order = {"task": "segmenter", "name": "disc-model", "structures": ["disc"], "steps": 3}
    assert caller("annotator").post("/api/v1/models/train", json=order).status_code == 403
    job = admin.post("/api/v1/models/train", json=order).json()
    assert admin.post("/api/v1/models/train", json=order).json()["id"] == job["id"]
    assert work() == {"done": 1}
    assert app.state.services.jobs.get(job["id"]).total == 3
    page = admin.get("/api/v1/models").json()
    made = next(line for line in page["models"] if line["name"] == "disc-model")
    assert made["origin"] == "archive" and made["structures"] == ["disc"] and "validation_dice" in made["measures"]
    assert Model.load(archive.folder / "models" / "disc-model").key == made["key"]
    assert admin.post("/api/v1/models/train", json=order).status_code == 409
    further = {**order, "name": "second", "start": "disc-model", "structures": [], "steps": 2}
    admin.post("/api/v1/models/train", json=further)
    assert work() == {"done": 1}
    second = next(line for line in admin.get("/api/v1/models").json()["models"] if line["name"] == "second")
    assert second["parent"] == made["key"] and second["parent_name"] == "disc-model"


def test_trainings_that_cannot_be(caller, keys):
    admin = caller("admin", "root")
    for order, word in (
        ({"task": "segmenter"}, "structures"),
        ({"task": "segmenter", "structures": ["spleen"]}, "spleen"),
        ({"task": "segmenter", "structures": ["disc"], "start": "no-model"}, "no-model"),
        ({"task": "segmenter", "structures": ["=+"]}, "="),
        ({"task": "classifier", "structures": ["disc"]}, "categories"),
    ):
        answer = admin.post("/api/v1/models/train", json={"name": "m", **order})
        assert answer.status_code == 400 and word in answer.json()["detail"], answer.text
    assert admin.post("/api/v1/models/train", json={"task": "segmenter", "name": "../m", "structures": ["disc"]}).status_code == 422


def test_models_that_come_with_casewise(caller, keys):
    page = caller("reader").get("/api/v1/models").json()
    named = {line["name"]: line for line in page["models"]}
    assert any(line["origin"] == "shipped" and line["card"].startswith("#") for line in named.values())
    assert any(line["research_only"] and line["licence"] for line in named.values())
    assert page["tasks"]["segmenter"]["structures"] == {"disc": 2}
