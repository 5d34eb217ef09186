"""Uploads and downloads, over HTTP, of real files."""

from __future__ import annotations

import io
import os

import numpy as np
import pydicom
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from casewise.demo.dicom import write_dicom, write_series
from casewise.formats import read, write
from casewise.header import Header
from casewise.image import Image
from casewise.server import uploads
from casewise.server.app import create_app
from casewise.server.settings import Settings
from casewise.server.spool import Spool
from casewise.server.work import KINDS
from casewise.server.worker import Worker
from tests.server.cases.conftest import AFFINE, picture
from tests.server.people import signed_in

TURN = Rotation.from_euler("xyz", (12, -20, 33), degrees=True).as_matrix()
OBLIQUE = np.eye(4)
OBLIQUE[:3] = np.column_stack([TURN @ np.diag([-1.1, 1.4, 2.5]), [20.0, -31.0, 7.0]])  # left-handed, anisotropic


def _volume(seed=0, shape=(9, 11, 7)):
    return np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)


def _bytes(path):
    return path.read_bytes()


def _send(client, files, **query):
    form = [("files", (name, io.BytesIO(data), "application/octet-stream")) for name, data in files.items()]
    return client.post("/api/v1/cases", files=form, params=query)


@pytest.fixture
def nifti(tmp_path):
    """An oblique volume of anisotropic voxels."""
    return write(tmp_path / "new.nii.gz", Image(_volume()[None], OBLIQUE))


def test_files_are_taken_in_with_their_masks(caller, archive, nifti, tmp_path):
    mask = write(tmp_path / "mask.nii.gz", Image((_volume() > 500).astype(np.uint8)[None], OBLIQUE))
    write(tmp_path / "film.png", Image(picture(40)[None]))
    folders = {"set/imagesTr/a_0000.nii.gz": _bytes(nifti), "set/labelsTr/a.nii.gz": _bytes(mask)}
    made = _send(caller(), folders | {"set/dataset.json": b'{"labels": {"background": 0, "lesion": 1}}'}).json()
    assert made["added"] == 1 and made["failed"] == [] and made["job"] is None
    case = archive.case(made["keys"][0])
    np.testing.assert_array_equal(case.load_masks["lesion"](), _volume() > 500)
    film = _send(caller(), {"film.png": _bytes(tmp_path / "film.png")}, category="film", site="ward").json()
    line = caller().get("/api/v1/cases", params={"limit": 1}).json()["cases"][0]
    assert (line["key"], line["name"], line["category"], line["site"]) == (film["keys"][0], "film.png", "film", "ward")
    again = _send(caller(), {"other-name.png": _bytes(tmp_path / "film.png")}).json()
    assert (again["added"], again["known"], again["keys"]) == (0, 1, film["keys"])
    assert not any((archive.folder / "server" / "uploads").iterdir())


def test_dicom_series_in_a_folder_named_like_a_patient(caller, archive, tmp_path):
    header = Header(modality="MR", sequence="T2", body_part="BRAIN", scanner="X")
    files = {}
    for number in range(2):
        path = write_dicom(
            tmp_path / f"{number}.dcm", Image(picture(50 + number)[None].astype(np.int16), AFFINE, header), f"p{number}"
        )
        files[f"Doe^Jane/IM{number}"] = _bytes(path)
    made = _send(caller(), files).json()
    assert made["added"] == 2
    text = caller().get("/api/v1/cases").text
    assert "Doe^Jane" not in text and '"site":"upload"' in text


def test_names_lead_nowhere_else(caller, archive, nifti):
    before = sorted(path for path in archive.folder.parent.rglob("*") if "archive" not in path.parts[-2:])
    names = [
        "../../../evil.nii.gz",
        "/etc/evil.nii.gz",
        "C:\\x\\..\\evil.nii.gz",
        "a/../../evil.nii.gz",
        "..",
        ".",
        "a" * 400 + ".nii.gz",
        "x\x00y/\r\n.nii.gz",
    ]
    for number, name in enumerate(names):
        volume = write(archive.folder.parent / "given" / f"{number}.nii.gz", Image(_volume(number + 1)[None], OBLIQUE))
        before.append(volume)
        answer = _send(caller(), {name: _bytes(volume)})
        assert answer.status_code == 200, answer.text
    after = sorted(path for path in archive.folder.parent.rglob("*") if "archive" not in path.parts[-2:])
    inside = {path for path in after if archive.folder in path.parents}
    assert set(after) - inside == set(before) - {path for path in before if archive.folder in path.parents}
    assert not list(archive.folder.rglob("evil*"))


def test_what_is_no_image_is_named(caller, archive):
    made = _send(caller(), {"note.dcm": b"no image at all", "x/scan.nii.gz": b"\x1f\x8bnothing"}).json()
    assert made["added"] == 0
    assert {one["path"] for one in made["failed"]} == {"note.dcm", "x/scan.nii.gz"}
    assert str(archive.folder) not in str(made)


def test_forms_that_are_none(caller, archive):
    client = caller()
    for body, kind in (
        (b"", "multipart/form-data; boundary=x"),
        (b"x", "text/plain"),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc', "multipart/form-data; boundary=x"),
        (b"--x\r\n" + b"A" * 100_000, "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nabc\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    ):
        answer = client.post("/api/v1/cases", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400 and answer.json()["detail"], (body[:60], answer.text)
    assert not any((archive.folder / "server" / "uploads").iterdir())
    assert _send(caller("reader"), {"a.png": b"x"}).status_code == 403


def test_upload_beyond_the_limit_leaves_nothing(archive, store):
    app = create_app(archive, store, Settings(upload_bytes=100_000))
    answer = _send(signed_in(app, "annotator", "ann"), {"a.nii.gz": b"x" * 60_000, "b.nii.gz": b"y" * 60_000})
    assert answer.status_code == 413 and "100,000 bytes" in answer.json()["detail"]
    assert not list((archive.folder / "server" / "uploads").glob("*"))


def test_what_broken_uploads_left_goes_after_a_day(caller, archive, nifti):
    old, young = Spool.new(archive.folder), Spool.new(archive.folder)
    os.utime(old.folder, (1, 1))
    assert _send(caller(), {"new.nii.gz": _bytes(nifti)}).status_code == 200
    assert young.folder.is_dir() and not old.folder.exists()


def test_large_upload_is_taken_in_by_a_job(caller, app, archive, work, nifti, monkeypatch):
    monkeypatch.setattr(uploads, "_AT_ONCE_BYTES", 100)
    files = {"Doe^Jane/IM1": b"nothing", "new.nii.gz": _bytes(nifti)}
    made = _send(caller(), files, category="brain", analyse=True).json()
    assert made["added"] == 0 and made["job"] is not None
    jobs = app.state.services.jobs
    assert jobs.get(made["job"]).payload["title"] == "Import 2 files"
    Worker(archive, app.state.services.store, app.state.services.settings, kinds={"import": KINDS["import"]}).run(once=True)
    result = jobs.get(made["job"]).result
    assert result["added"] == 1 and archive.case(result["keys"][0]).category == "brain"
    assert "Doe" not in str(result) and "Jane" not in str(result)
    assert jobs.get(result["analyse"]).payload["cases"] == result["keys"]


def _of_job(app, archive, number):
    """The document of a job of an upload, once it is done."""
    shared = app.state.services
    Worker(archive, shared.store, shared.settings, kinds={"import": KINDS["import"]}).run(once=True)
    return shared.jobs.get(number).result


def test_a_job_names_no_file_also_where_it_says_why_it_failed(caller, app, archive, nifti, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "_AT_ONCE_BYTES", 100)
    header = b"ObjectType = Image\nNDims = 2\nDimSize = 4 4\nElementType = MET_UCHAR\nElementDataFile = Mueller-Hans.raw\n"
    mask = write(tmp_path / "mask.nii.gz", Image((_volume() > 500).astype(np.uint8)[None], OBLIQUE))
    files = {
        "Mueller^Hans/Mueller_Hans.png": b"\x89PNG\r\n\x1a\nbroken",
        "Müller Hans 2.nii.gz": b"\x1f\x8b broken",
        "Mueller_Hans3.dcm": b"\0" * 128 + b"DICM" + b"\1\2",
        "Hans.Mueller.dcm": b"nothing",
        "Hans.Mueller": b"nothing",
        "Mueller-Hans/scan.mhd": header,
        "a/Mueller 1.nii.gz": _bytes(nifti),
        "a/Mueller 1_seg.nii.gz": _bytes(mask),
        "a/Mueller 1_mask.nii.gz": _bytes(mask)[:-40],
        "a/table.csv": b"file,sex\nMueller 1.nii.gz,F\nMueller 1.nii.gz,M\nO'Brien.nii.gz,M\n",
    }
    made = _send(caller(), files).json()
    result = _of_job(app, archive, made["job"])
    assert len(result["failed"]) >= 7
    told = str(caller("reader").get(f"/api/v1/jobs/{made['job']}").json())
    for part in ("Mueller", "Müller", "Hans", "Brien", str(archive.folder)):
        assert part.casefold() not in told.casefold(), result["failed"]
    own = [one for one in result["failed"] if one["path"] in one["reason"]]
    assert {one["path"].partition(" (")[2] for one in own} >= {".png)", ".nii.gz)"}
    assert any("damaged" in one["reason"] or "cut short" in one["reason"] for one in own)


def test_mask_comes_back_on_the_images_own_grid(caller, archive, nifti, tmp_path):
    mask = _volume() > 500
    key = archive.add(nifti, {"lesion core": mask, "left@ann": ~mask})
    answer = caller("reader").get(f"/api/v1/cases/{key}/masks/lesion core.nii.gz")
    assert answer.status_code == 200 and "lesion_core.nii.gz" in answer.headers["content-disposition"]
    (tmp_path / "got.nii.gz").write_bytes(answer.content)
    got, image = SimpleITK.ReadImage(str(tmp_path / "got.nii.gz")), SimpleITK.ReadImage(str(nifti))
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(got, name)(), getattr(image, name)(), atol=1e-5)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(got) > 0, mask.transpose(2, 1, 0))
    assert caller("reader").get(f"/api/v1/cases/{key}/masks/left@ann.nii.gz").status_code == 200
    assert caller("reader").get(f"/api/v1/cases/{key}/masks/lesion core").json()["box"], "the page's own address is still there"
    assert caller("reader").get(f"/api/v1/cases/{key}/masks/nothing.nii.gz").status_code == 404
    assert caller("reader").get(f"/api/v1/cases/{key}/masks/..%2Flesion core.nii.gz").status_code == 404


def test_dicom_segmentation(caller, archive, keys, tmp_path):
    image = archive.case(keys[4]).image
    mask = image.array[0] > 120
    archive.add_masks(keys[4], image, {"disc": mask}, origin={"how": "interactive"})
    answer = caller("reader").get(f"/api/v1/cases/{keys[4]}/segmentation.dcm")
    assert answer.status_code == 200
    data = pydicom.dcmread(io.BytesIO(answer.content))
    assert data.Modality == "SEG" and data.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    np.testing.assert_array_equal(np.squeeze(data.pixel_array) > 0, mask)
    refused = caller("reader").get(f"/api/v1/cases/{keys[0]}/segmentation.dcm")
    assert refused.status_code == 400 and "NIfTI" in refused.json()["detail"]


def test_image_whose_file_has_gone(caller, archive, keys, tmp_path):
    (tmp_path / "given" / "Jane Doe" / "film-0.png").unlink()
    for path in ("", "/masks/disc.nii.gz", "/similar"):
        answer = caller().get(f"/api/v1/cases/{keys[0]}{path}")
        assert answer.status_code == 404, path
        assert "Jane" not in answer.text and "film-0.png" in answer.text


def test_no_answer_and_no_job_names_a_file_that_cannot_be_read(caller, app, archive, keys, work, tmp_path):
    given = tmp_path / "given" / "Jane Doe"
    header = Header(modality="MR", sequence="T1", body_part="BRAIN", scanner="X")
    broken = [*given.glob("*.*")]
    for name in ("all", "one"):
        volume = Image(np.stack([picture(len(name) + place) for place in range(40, 43)], -1)[None].astype(np.int16), AFFINE, header)
        slices = [
            path.rename(path.with_name(f"DOE_{path.name}")) for path in sorted(write_series(given / name, volume, name).iterdir())
        ]
        broken += slices[:1] if name == "one" else slices
    series = archive.import_paths([given / "all", given / "one"]).keys
    mask = write(given / "Doe_seg.nii.gz", Image((_volume(9, (12, 14, 6)) > 500).astype(np.uint8)[None], AFFINE))
    archive.add(given / "brain.nii.gz", {"core": mask})
    for file in [*broken, mask]:
        file.write_bytes(file.read_bytes()[:60])
    told = []
    for key in [keys[0], keys[3], keys[4], *series]:
        for path in ("", "/voxels", "/thumbnail", "/nifti", "/similar", "/masks/disc", "/masks/core", "/agreement?structure=disc"):
            told.append(caller("reader", "rita").get(f"/api/v1/cases/{key}{path}"))
        told.append(caller().post("/api/v1/sessions", json={"case": key, "structure": "disc"}))
        told.append(caller().post(f"/infer/casewise-clicks?image={key}", data={"params": '{"foreground": [[1, 1]]}'}))
        told.append(caller().get(f"/datastore/image?image={key}"))
    assert sum(answer.status_code >= 400 for answer in told) >= 30 and all(answer.status_code < 500 for answer in told)
    jobs = app.state.services.jobs
    train = {"name": "discs", "task": "segmenter", "structures": ["disc"], "steps": 2}
    orders = [("analyse", {"cases": [key]}) for key in [keys[0], keys[4], *series]] + [("train", train)]
    orders += [("prepare", {"case": keys[4], "structure": "disc"}), ("analyse", {"cases": keys})]
    orders.append(("segment", {"model": "casewise-hippocampus", "images": "all", "tag": "t"}))
    numbers = [jobs.add(kind, payload) for kind, payload in orders]
    work()
    told += [caller("reader", "rita").get(f"/api/v1/jobs/{number}") for number in numbers]
    failed = [answer.json() for answer in told[-len(numbers) :]]
    assert all(job["error"] or job["result"] for job in failed)
    for answer in told:
        for part in ("Jane", "JANE", "Doe", "DOE", str(tmp_path)):
            assert part not in answer.text, (str(answer.url), answer.text)


def test_read_back_what_was_sent(caller, archive, nifti):
    key = _send(caller(), {"deep/er/new.nii.gz": _bytes(nifti)}).json()["keys"][0]
    np.testing.assert_array_equal(archive.case(key).image.array, read(nifti).array)
