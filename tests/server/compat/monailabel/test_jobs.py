"""The jobs that MONAI Label's clients queue, done by a worker's code: a training, a model over many images, a scoring."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from casewise.label_map import LabelMap
from casewise.server.compat.monailabel.drafts import Drafts
from casewise.server.store import efforts
from casewise.server.work import KINDS, Work
from tests.server.compat.monailabel import scenes
from tests.server.compat.monailabel.conftest import PythonClient, Served


def work_off(served: Served, kind: str) -> dict[str, object]:
    """Do the oldest job of the queue, which is of this kind; its result."""
    jobs = served.app.state.services.jobs
    job = jobs.claim("test")
    assert job.kind == kind
    result = KINDS[kind](Work(job, served.archive, served.store, served.app.state.services.settings, jobs))
    assert jobs.finish(job, result)
    return result


def test_a_model_over_many_images_leaves_drafts_that_can_be_scored(
    monailabel_client: PythonClient, served: Served, shared_data: Path, tmp_path: Path
) -> None:
    files = [shared_data / "hippocampus" / "images" / f"hippocampus_{number:03}.nii.gz" for number in (4, 14)]
    served.archive.import_paths([*files, scenes.volume(tmp_path, "RAS").path])
    key = served.archive.named("hippocampus_004")[0].key
    httpx.post(f"{served.url}/batch/infer/casewise-hippocampus?images=unlabeled", json={"save_label": True}, timeout=120)
    result = work_off(served, "segment")
    assert (result["images"], result["refused"]) == (3, 1)  # the ball is no hippocampus
    assert httpx.get(f"{served.url}/batch/infer", timeout=120).json()["status"] == "DONE"
    listed = monailabel_client("datastore")["objects"][key]["labels"]
    assert list(listed) == ["original"]  # a draft is no accepted mask
    assert listed["original"]["info"]["params"]["label_names"] == {"hippocampus": 1}
    draft = monailabel_client("download_label", key, "original")
    monailabel_client("save_label", key, draft, "", {"label_info": [{"name": "hippocampus", "idx": 1}]})
    httpx.post(f"{served.url}/scoring/dice", json={}, timeout=120)
    job = served.app.state.services.jobs
    scored = work_off(served, "score drafts")
    assert scored["dice"] == {"hippocampus": 1.0}
    assert httpx.get(f"{served.url}/datastore/label/info?label={key}&tag=original", timeout=120).json()["dice"] == {
        "hippocampus": 1.0
    }
    assert not job.counts().get("waiting")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"x" * path.stat().st_size)


def without_names(path: Path) -> None:
    np.savez(path, labels=np.ones((3, 3, 3), np.uint16))


@pytest.mark.parametrize("damage", [cut_short, emptied, overwritten, without_names, Path.unlink])
def test_a_draft_that_cannot_be_read_counts_as_none(
    served: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    drafts, keys = Drafts(served.store), []
    for kind in ("RAS", "LAS"):
        scene = scenes.volume(tmp_path, kind)
        served.archive.import_paths([scene.path])
        case = served.archive.case(served.archive.named(scene.path.name)[0].key)
        served.archive.add_masks(case.key, case.image, {"ball": scene.ball})
        drafts.save(case.key, "mine", LabelMap.like({"ball": scene.ball}, case.image), {})
        keys.append(case.key)
    damage(served.archive.folder / "server" / "drafts" / "mine" / f"{keys[0]}.npz")
    first, second = (httpx.get(f"{served.url}/datastore/label?label={key}&tag=mine", timeout=120) for key in keys)
    assert (first.status_code, second.status_code) == (404, 200)
    assert first.json() == {"detail": "The image has no label of the tag 'mine'."}
    assert f"The file of the draft 'mine' of {keys[0]} " in caplog.text and keys[1] not in caplog.text
    jobs = served.app.state.services.jobs
    jobs.add("score drafts", {"tag": "mine", "title": "Score"})
    assert work_off(served, "score drafts") == {"images": 2, "unreadable": 1, "dice": {"ball": 1.0}}


def test_a_training_gives_a_model_that_is_offered(client: PythonClient, served: Served, tmp_path: Path) -> None:
    for kind in ("RAS", "LAS", "oblique"):
        scene = scenes.volume(tmp_path, kind)
        served.archive.import_paths([scene.path])
        case = served.archive.case(served.archive.named(scene.path.name)[0].key)
        served.archive.add_masks(case.key, case.image, {"ball": scene.ball})
    client("train_start", "segmenter", {"structure": "ball", "steps": 2, "name": "balls"})
    work_off(served, "train")
    assert client("train_status")["status"] == "DONE"
    info = client("info")
    assert info["models"]["balls"]["labels"] == {"ball": 1}
    assert "total_time" in info["train_stats"]["segmenter"]
    mask, about = client("infer", "balls", case.key, {})
    assert about["label_names"] == {"ball": 1}
    assert mask


def test_a_saved_label_counts_what_it_took(client: PythonClient, served: Served, tmp_path: Path) -> None:
    scene = scenes.volume(tmp_path, "RAS")
    served.archive.import_paths([scene.path])
    (record,) = served.archive.images()
    for points in ([list(scenes.CENTRE)], [list(scenes.CENTRE), [20, 14, 9]]):
        mask, _ = client("infer", "casewise-clicks", record.key, {"label": "ball", "foreground": points})
    client("save_label", record.key, mask, "", {"label_info": [{"name": "ball", "idx": 1}]})
    with served.store.read() as connection:
        (row,) = connection.execute(efforts.select()).all()
    assert (row.structure, row.strokes, row.user) == ("ball", 2, "local")
    # A mask drawn by hand in Slicer took no strokes of ours.
    client("save_label", record.key, mask, "", {"label_info": [{"name": "other", "idx": 1}]})
    with served.store.read() as connection:
        assert len(connection.execute(efforts.select()).all()) == 1
    assert np.array_equal(
        served.archive.case(record.key).load_masks["other"](), served.archive.case(record.key).load_masks["ball"]()
    )
