"""What 3D Slicer itself sees: the image that we serve and our mask of it, at the same place, whatever the file's axes.

Slicer's own core reads, paints, saves and takes in; the client file of its MONAI Label module carries it over the wire.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.compat.monailabel import scenes
from tests.server.compat.monailabel.conftest import HERE, Driven, PythonClient, Served

KINDS = [*scenes.KINDS, "series", "series downwards"]
IN_FRONT = np.array([0.0, 14.0, 0.0])  # mm from the ball's centre, outside it
SCRIBBLES = ["background_scribbles", "foreground_scribbles"]


class Slicer(Driven):
    """``slicer(function, …)`` of ``drive_slicer.py``."""

    def __call__(self, name: str, *arguments: Any) -> Any:
        answer = self.ask([name, arguments])
        assert "error" not in answer, answer
        return answer["result"]


@pytest.fixture
def slicer(slicer_python: Path) -> Iterator[Slicer]:
    made = Slicer([str(slicer_python), str(HERE / "drive_slicer.py")])
    yield made
    made.close()


def scene_of(kind: str, folder: Path) -> scenes.Scene:
    if kind.startswith("series"):
        return scenes.series(folder, kind.endswith("downwards"))
    return scenes.volume(folder, kind)


def opened(slicer: Slicer, client: PythonClient, served: Served, folder: Path) -> str:
    """ "Next Sample", as the module does it; the image's id."""
    sample = client("next_sample", "first", {})
    assert "path" not in sample  # Slicer would open the original
    file = folder / sample["name"]
    urllib.request.urlretrieve(f"{served.url}/datastore/image?image={sample['id']}", file)
    slicer("open_volume", str(file))
    return str(sample["id"])


def strokes(index: list[int], across: int) -> list[list[int]]:
    """A short line of voxels through ``index``, along the first axis."""
    return [[index[0] + step, index[1], index[2]] for step in range(-across, across + 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_image_scribbles_mask_and_saved_label_lie_at_the_same_place(
    kind: str, slicer: Slicer, slicer_client: PythonClient, served: Served, tmp_path: Path
) -> None:
    scene = scene_of(kind, tmp_path)
    served.archive.import_paths([scene.path])
    identity = opened(slicer, slicer_client, served, tmp_path)
    there = slicer("value_at", scene.centre.tolist())
    assert there["value"] > 200  # the ball is where it is in the patient
    slicer("add_segments", ["spleen", "ball", *SCRIBBLES])
    slicer("draw", "foreground_scribbles", strokes(there["index"], 4))
    beside = slicer("value_at", (scene.centre + IN_FRONT).tolist())["index"]
    slicer("draw", "background_scribbles", strokes(beside, 1))
    info = slicer("export", str(tmp_path / "scribbles.nii.gz"))
    roi = [side for index in there["index"] for side in (index - 12, index + 12)]
    params = {"label_info": info, "selected_label_name": "ball", "roi": roi, "result_extension": ".nrrd", "result_dtype": "uint8"}
    mask, about = slicer_client("infer", "casewise-scribbles", identity, params, str(tmp_path / "scribbles.nii.gz"))
    found = slicer("take", mask, ["ball"])["ball"]
    assert about["label_names"] == {"ball": 1}
    assert found["voxels"] > 200
    assert np.abs(np.asarray(found["centre"]) - scene.centre).max() < 4  # a network's answer

    # What Slicer saves comes back voxel by voxel: the saved mask is the one that Slicer displayed.
    info = slicer("export", str(tmp_path / "label.nii.gz"), SCRIBBLES)
    assert slicer_client("save_label", identity, str(tmp_path / "label.nii.gz"), "", {"label_info": info})["image"] == identity
    case = served.archive.case(identity)
    assert list(case.load_masks) == ["ball"]  # the empty segment is none
    saved = case.load_masks["ball"]()
    assert saved.shape == case.image.spatial_shape
    centre = case.image.affine[:3, :3] @ np.argwhere(saved).mean(axis=0) + case.image.affine[:3, 3]
    assert np.abs(centre - found["centre"]).max() < 0.01
    assert int(saved.sum()) == found["voxels"]


@pytest.mark.parametrize("kind", KINDS)
def test_masks_of_the_archive_open_in_slicer_at_their_place_under_their_names(
    kind: str, slicer: Slicer, slicer_client: PythonClient, served: Served, tmp_path: Path
) -> None:
    scene = scene_of(kind, tmp_path)
    served.archive.import_paths([scene.path])
    identity = opened(slicer, slicer_client, served, tmp_path)
    case = served.archive.case(identity)
    other = np.zeros_like(scene.ball)
    other[1:4, 30:34, 20:29] = True
    served.archive.add_masks(identity, case.image, {"ball": scene.ball, "anterior horn": other})
    listed = slicer_client("datastore")["objects"][identity]["labels"]["original"]["info"]["params"]["label_names"]
    file = slicer_client("download_label", identity, "original")
    found = slicer("take", file, list(listed))
    half = np.linalg.norm(case.image.affine[:3, :3], axis=0).max() / 2
    for name, mask in (("ball", scene.ball), ("anterior horn", other)):
        centre = case.image.affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + case.image.affine[:3, 3]
        assert found[name]["voxels"] == int(mask.sum())
        assert np.abs(np.asarray(found[name]["centre"]) - centre).max() < half


@pytest.mark.parametrize("kind", ["LAS", "oblique left-handed", "series downwards"])
def test_a_click_means_the_voxel_under_slicers_cursor(
    kind: str, slicer: Slicer, slicer_client: PythonClient, served: Served, tmp_path: Path
) -> None:
    scene = scene_of(kind, tmp_path)
    served.archive.import_paths([scene.path])
    identity = opened(slicer, slicer_client, served, tmp_path)
    slicer("add_segments", ["ball"])
    on, beside = (slicer("value_at", place.tolist())["index"] for place in (scene.centre, scene.centre + IN_FRONT))
    roi = [value for low, high in zip(on, on, strict=True) for value in (high + 9, low - 9)]  # reversed, as after a flip
    params = {"label": "ball", "foreground": [on], "background": [beside], "roi": roi, "result_extension": ".nrrd"}
    mask, _ = slicer_client("infer", "casewise-clicks", identity, params)
    found = slicer("take", mask, ["ball"])["ball"]
    assert np.abs(np.asarray(found["centre"]) - scene.centre).max() < 4


def test_segments_numbered_past_the_scribbles_are_not_taken_for_each_other(
    slicer: Slicer, slicer_client: PythonClient, served: Served, tmp_path: Path
) -> None:
    """Slicer numbers a segment in ``label_info`` by its place among all segments, and in the file among those that it saved."""
    scene = scene_of("RAS", tmp_path)
    served.archive.import_paths([scene.path])
    identity = opened(slicer, slicer_client, served, tmp_path)
    slicer("add_segments", ["a", *SCRIBBLES, "b", "c", "d"])
    slicer("draw", "a", [[3, 3, 3]])
    slicer("draw", "d", [[9, 9, 9]])
    label = str(tmp_path / "label.nii.gz")
    info = slicer("export", label, SCRIBBLES)
    assert [one["idx"] for one in info] == [1, 4, 5, 6]
    # The file holds 1 and 4: by the places of the saved ones a and d, by label_info a and b.
    refusal = slicer_client.refused("save_label", identity, label, "", {"label_info": info})
    assert "It is not clear which segments" in refusal
    slicer("draw", "b", [[6, 6, 6]])
    slicer("export", label, SCRIBBLES)
    slicer_client("save_label", identity, label, "", {"label_info": info})  # 1, 2 and 4: only the places fit
    masks = served.archive.case(identity).load_masks
    drawn = {name: np.argwhere(load()).tolist() for name, load in masks.items()}
    assert drawn == {"a": [[3, 3, 3]], "b": [[6, 6, 6]], "d": [[9, 9, 9]]}


def test_segments_that_overlap_are_saved_whole_by_their_own_names(
    slicer: Slicer, slicer_client: PythonClient, served: Served, tmp_path: Path
) -> None:
    scene = scene_of("oblique left-handed", tmp_path)
    served.archive.import_paths([scene.path])
    identity = opened(slicer, slicer_client, served, tmp_path)
    slicer("add_segments", ["lung", *SCRIBBLES, "nodule"])
    slicer("draw", "lung", [[5, 6, 7], [6, 6, 7]])
    slicer("draw", "foreground_scribbles", [[9, 9, 9]])
    slicer("draw", "nodule", [[12, 6, 7]])
    label = str(tmp_path / "label.seg.nrrd")
    slicer("save_segmentation", label)
    info = [{"name": "lung", "idx": 1}, {"name": "nodule", "idx": 4}]
    slicer_client("save_label", identity, label, "", {"label_info": info})
    masks = {name: np.argwhere(load()).tolist() for name, load in served.archive.case(identity).load_masks.items()}
    last = scenes.SHAPE[2] - 1  # the served copy counts k from the other end
    assert masks == {"lung": [[5, 6, last - 7], [6, 6, last - 7]], "nodule": [[12, 6, last - 7]]}
