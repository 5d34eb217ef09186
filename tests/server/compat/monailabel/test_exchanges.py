"""What MONAI Label's clients say and are answered, call by call, as it was recorded between them and MONAI Label 0.8.5.

Where that server answers 500 or accepts what fails later, ours refuses with one sentence.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK

from casewise.formats import read, write
from casewise.image import Image
from casewise.server.compat.monailabel.grid import ClientGrid
from casewise.server.compat.monailabel.marking import clicks
from tests.server.compat.monailabel import scenes
from tests.server.compat.monailabel.conftest import ORIGIN, PythonClient, Served

SCRIBBLES = [{"name": "background_scribbles", "id": 1}, {"name": "foreground_scribbles", "id": 2}, {"name": "spleen", "id": 3}]
PARAMS = {"roi": [], "label_info": SCRIBBLES, "selected_label_name": "spleen"}
MODEL = "casewise-scribbles"


@pytest.fixture
def scene(served: Served, tmp_path: Path) -> scenes.Scene:
    """A left-handed volume of the archive, called ``LAS.nii.gz``; beside it a second one without a mask."""
    made = scenes.volume(tmp_path, "LAS")
    served.archive.import_paths([made.path, scenes.volume(tmp_path, "RAS").path])
    return made


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=120) as made:
        yield made


def key_of(served: Served, name: str = "LAS") -> str:
    (record,) = served.archive.named(name)
    return record.key


@pytest.fixture
def drawn(served: Served, scene: scenes.Scene, tmp_path: Path) -> Callable[..., Path]:
    """A label file on the original's grid: foreground and background voxels, and more values."""

    def made(name: str, foreground: list[list[int]], background: list[list[int]] = (), **_: Any) -> Path:  # type: ignore[assignment]
        labels = np.zeros(scenes.SHAPE, np.uint8)
        for value, places in ((2, foreground), (1, background)):
            if len(places):
                labels[tuple(np.array(places).T)] = value
        return write(tmp_path / name, Image(labels[None], scene.image.affine))

    return made


def line(place: tuple[int, int, int], across: int = 3) -> list[list[int]]:
    return [[place[0] + step, place[1], place[2]] for step in range(-across, across + 1)]


def mask_in(file: str | bytes, folder: Path) -> npt.NDArray[Any]:
    """(i, j, k)"""
    path = Path(file) if isinstance(file, str) else folder / "reply.nii.gz"
    if isinstance(file, bytes):
        path.write_bytes(file)
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T)


def dice(mask: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    return float(2 * np.logical_and(mask, truth).sum() / (np.count_nonzero(mask) + np.count_nonzero(truth)))


def outward(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of the scene's left-handed grid, as clients see it."""
    return array[:, :, ::-1]


def test_clicks_on_one_voxel_as_both_mark_nothing_and_it_is_said(served: Served, scene: scenes.Scene, http: httpx.Client) -> None:
    on, both, beside = [26, 14, 20], [27, 18, 20], [2, 2, 20]
    url = f"/infer/casewise-clicks?image={key_of(served)}&output=json"
    params = {"label": "ball", "foreground": [on, both], "background": [both, beside], "similar_cases": False}
    answer = http.post(url, data={"params": json.dumps(params)})
    assert answer.status_code == 200, answer.text
    assert "1 voxel was marked as the object and as the rest at once" in answer.json()["reason"]
    params |= {"foreground": [both]}
    refused = http.post(url, data={"params": json.dumps(params)})
    assert refused.status_code == 400 and "mark each place as one of the two" in refused.text


@pytest.mark.parametrize("swapped", [False, True])
def test_where_dabs_meet_the_click_counts_and_else_neither(scene: scenes.Scene, swapped: bool) -> None:
    grid, kinds = ClientGrid.of(scene.image), ("background", "foreground") if swapped else ("foreground", "background")
    marks = clicks(dict(zip(kinds, ([[10, 10, 5], [20, 20, 5]], [[11, 11, 5], [21, 20, 5]]), strict=True)), scene.image, grid)
    drawn = np.zeros((2, int(np.prod(scenes.SHAPE))), bool)
    for mask, kind in zip(drawn, kinds, strict=True):
        mask[getattr(marks, kind)] = True
    on, off = (grid.outward(mask.reshape(scenes.SHAPE)) for mask in drawn)
    assert on[10, 10, 5] and off[11, 11, 5] and not (on | off)[10, 11, 5] and not (on | off)[11, 10, 5]
    assert on[20, 20, 5] and off[21, 20, 5] and (on.sum(), off.sum()) == (7, 7) and not marks.crossed


def test_nobody_signs_in_where_there_are_no_users(client: PythonClient, http: httpx.Client) -> None:
    assert client("auth_enabled") is False
    assert client("auth_valid_token") is False
    assert http.get("/auth/").status_code == 404
    assert "404" in client.refused("auth_token", "u", "p")


def test_info_has_what_the_windows_read(client: PythonClient, scene: scenes.Scene, http: httpx.Client) -> None:
    info = client("info")
    assert isinstance(info["labels"], list)
    assert not info.get("config")  # Slicer would call the server outdated
    types = {model["type"] for model in info["models"].values()}
    assert types == {"scribbles", "deepgrow", "segmentation"}
    for name, model in info["models"].items():
        assert name == "".join(letter for letter in name if letter in "abcdefghijklmnopqrstuvwxyz0123456789_-")
        assert model["description"]
        # A model that Slicer asks as soon as an image is opened must be one that needs no marks.
        assert not model["labels"] or model["type"] == "segmentation"
    assert list(info["strategies"]) == ["first", "random", "uncertainty", "unlike"]
    assert info["train_stats"] == {"segmenter": {}}
    assert info["datastore"] == {"total": 2, "completed": 0, "label_tags": {}}
    # Only OHIF, in a browser, marks what lies beside a structure under a label of that name.
    assert "background" not in info["labels"]
    assert http.get("/info/", headers={"origin": ORIGIN}).json()["labels"][-1] == "background"


def test_replies_have_a_length_and_are_never_compressed(http: httpx.Client, served: Served, scene: scenes.Scene) -> None:
    key = key_of(served)
    for path in ("/info/", "/datastore/?output=all", f"/datastore/image?image={key}", "/train/", "/nosuch/"):
        reply = http.get(path, headers={"accept-encoding": "gzip"})
        assert int(reply.headers["content-length"]) == len(reply.content)
        assert "content-encoding" not in reply.headers
        assert "transfer-encoding" not in reply.headers


def test_addresses_without_their_slash_are_redirected(http: httpx.Client) -> None:
    for method, path in (("GET", "/info"), ("GET", "/datastore"), ("POST", "/train")):
        reply = http.request(method, path)
        assert (reply.status_code, reply.headers["location"]) == (307, f"{http.base_url}{path}/".replace("//i", "/i")), path


def test_a_viewer_elsewhere_may_call_if_it_is_listed(http: httpx.Client) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = http.options("/infer/x", headers={"origin": ORIGIN, **asked})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert http.get("/info/", headers={"origin": ORIGIN}).headers["access-control-allow-origin"] == ORIGIN
    other = http.get("/info/", headers={"origin": "http://elsewhere.example"})
    assert "access-control-allow-origin" not in other.headers
    assert http.post("/train/", json={}, headers={"origin": "http://elsewhere.example"}).status_code == 403


def test_datastore_lists_images_and_their_labels(
    monailabel_client: PythonClient, http: httpx.Client, served: Served, scene: scenes.Scene
) -> None:
    key = key_of(served)
    assert http.get("/datastore/").json() == {"total": 2, "completed": 0, "label_tags": {}}
    assert http.get("/datastore/?output=train").json() == []
    assert http.get("/datastore/?output=nonsense").status_code == 400
    served.archive.add_masks(key, served.archive.case(key).image, {"spleen": scene.ball})
    objects = monailabel_client("datastore")["objects"]
    assert objects[key]["labels"]["final"]["info"]["params"]["label_names"] == {"spleen": 1}
    assert objects[key_of(served, "RAS")]["labels"] == {}
    assert http.get("/datastore/").json() == {"total": 2, "completed": 1, "label_tags": {"final": 1}}
    assert http.get("/datastore/?output=train").json() == [{"image": key, "label": key}]


def test_next_sample_names_an_image_by_what_it_holds(
    client: PythonClient, served: Served, scene: scenes.Scene, http: httpx.Client
) -> None:
    sample = client("next_sample", "first", {})
    assert sample["id"] == key_of(served)
    assert sample["name"] == f"LAS_{sample['id'][:8]}.nrrd"  # Slicer opens an earlier download of the same name
    assert "path" not in sample
    reply = http.get("/datastore/image", params={"image": sample["id"]})
    assert f'filename="{sample["name"]}"' in reply.headers["content-disposition"]
    assert http.head("/datastore/image", params={"image": sample["id"], "check_sum": sample["checksum"]}).status_code == 200
    assert http.head("/datastore/image", params={"image": sample["id"], "check_sum": "SHA256:00"}).status_code == 404
    # Another image with each call, and the first again when all were seen.
    others = [client("next_sample", strategy, {})["id"] for strategy in ("random", "uncertainty")]
    assert others == [key_of(served, "RAS"), sample["id"]]
    assert "There is no strategy 'nosuch'" in client.refused("next_sample", "nosuch", {})
    for name in ("LAS", "RAS"):
        case = served.archive.case(key_of(served, name))
        served.archive.add_masks(case.key, case.image, {"spleen": scene.ball})
    assert client("next_sample", "unlike", {}) == {}


def test_scribbles_are_rounds_of_one_session(
    client: PythonClient, served: Served, scene: scenes.Scene, drawn: Callable[..., Path], tmp_path: Path
) -> None:
    key = key_of(served)
    beside = (scenes.CENTRE[0], scenes.CENTRE[1] + 16, scenes.CENTRE[2])
    first = str(drawn("first.nii.gz", line(scenes.CENTRE), line(beside)))
    mask, about = client("infer", MODEL, key, dict(PARAMS), first)
    begun = mask_in(mask, tmp_path)
    assert begun.shape == scenes.SHAPE
    assert about["label_names"] == {"spleen": 1}
    assert set(np.unique(begun)) == {0, 1}
    above = (scenes.CENTRE[0], scenes.CENTRE[1], scenes.CENTRE[2] + 3)
    more = str(drawn("more.nii.gz", line(scenes.CENTRE) + line(above, 2), line(beside)))
    mask, about = client("infer", MODEL, key, dict(PARAMS), more)
    second = mask_in(mask, tmp_path)
    assert about["strokes"] == 2  # only what is new went into the second round
    assert dice(second, outward(scene.ball)) >= dice(begun, outward(scene.ball))
    # The same map again is no round; the second stroke erased gives the first answer, to the voxel.
    again, about = client("infer", MODEL, key, dict(PARAMS), more)
    assert about["strokes"] == 2
    assert np.array_equal(mask_in(again, tmp_path), second)
    erased, _ = client("infer", MODEL, key, dict(PARAMS), first)
    assert np.array_equal(mask_in(erased, tmp_path), begun)
    # Other scribbles altogether begin anew.
    elsewhere = str(drawn("elsewhere.nii.gz", line((8, 8, 22)), line((8, 24, 22))))
    _, about = client("infer", MODEL, key, dict(PARAMS), elsewhere)
    assert about["strokes"] == 1


def test_a_region_of_interest_bounds_the_answer_until_it_moves(
    monailabel_client: PythonClient, served: Served, scene: scenes.Scene, drawn: Callable[..., Path], tmp_path: Path
) -> None:
    key, k = key_of(served), scenes.SHAPE[2] - 1 - scenes.CENTRE[2]  # the served copy counts k from the other end
    label = str(drawn("label.nii.gz", line(scenes.CENTRE)))
    near = [scenes.CENTRE[0] - 4, scenes.CENTRE[0] + 4, scenes.CENTRE[1] + 4, scenes.CENTRE[1] - 4, k + 3, k - 3]
    mask = mask_in(monailabel_client("infer", MODEL, key, {**PARAMS, "roi": near}, label)[0], tmp_path)
    inside = np.zeros(scenes.SHAPE, bool)
    inside[near[0] : near[1] + 1, near[3] : near[2] + 1, near[5] : near[4] + 1] = True
    assert mask.any()
    assert not mask[~inside].any()
    wide = [scenes.CENTRE[0] - 9, scenes.CENTRE[0] + 9, scenes.CENTRE[1] - 11, scenes.CENTRE[1] + 11, k - 8, k + 8]
    larger = mask_in(monailabel_client("infer", MODEL, key, {**PARAMS, "roi": wide}, label)[0], tmp_path)
    assert dice(larger, outward(scene.ball)) > dice(mask, outward(scene.ball))


def test_two_clients_and_two_structures_do_not_mix(
    monailabel_client: PythonClient, slicer_client: PythonClient, served: Served, drawn: Callable[..., Path], tmp_path: Path
) -> None:
    key = key_of(served)
    label, other = str(drawn("a.nii.gz", line(scenes.CENTRE))), str(drawn("b.nii.gz", line((10, 8, 20))))
    first = mask_in(monailabel_client("infer", MODEL, key, dict(PARAMS), label)[0], tmp_path)
    liver = {**PARAMS, "selected_label_name": "liver"}
    _, about = monailabel_client("infer", MODEL, key, liver, other)
    assert (about["label_names"], about["strokes"]) == ({"liver": 1}, 1)
    again, about = monailabel_client("infer", MODEL, key, dict(PARAMS), label)
    assert about["strokes"] == 1
    assert np.array_equal(mask_in(again, tmp_path), first)


def test_outputs(http: httpx.Client, served: Served, drawn: Callable[..., Path], tmp_path: Path) -> None:
    key, label = key_of(served), drawn("s.nii.gz", line(scenes.CENTRE)).read_bytes()

    def asked(output: str, **params: Any) -> httpx.Response:
        files = {"label": ("s.nii.gz", label, "application/gzip")}
        form = {"params": json.dumps({**PARAMS, **params})}
        return http.post(f"/infer/{MODEL}?image={key}&output={output}", data=form, files=files)

    assert asked("json").json()["label_names"] == {"spleen": 1}
    whole = mask_in(asked("image").content, tmp_path)
    assert asked("all").headers["content-type"].startswith("multipart/form-data; boundary=")
    raw = asked("image", result_extension=".nrrd", result_dtype="uint8", result_compress=False).content
    head, _, voxels = raw.partition(b"\n\n")
    assert b"encoding: raw" in head
    assert np.array_equal(np.frombuffer(voxels, np.uint8).reshape(scenes.SHAPE, order="F"), whole)
    assert "A DICOM segmentation is made of a DICOM series" in asked("dicom_seg").json()["detail"]
    assert asked("nonsense").status_code == 400
    assert "result_extension is one of" in asked("image", result_extension=".exe").json()["detail"]
    assert "result_dtype is one of" in asked("image", result_dtype="complex").json()["detail"]


def test_mistakes_are_told_in_a_sentence(
    monailabel_client: PythonClient, http: httpx.Client, served: Served, drawn: Callable[..., Path], tmp_path: Path
) -> None:
    key = key_of(served)
    label = str(drawn("label.nii.gz", line(scenes.CENTRE)))
    odd = str(write(tmp_path / "odd.nii.gz", Image(np.ones((1, 9, 9, 9), np.uint8))))
    empty = str(drawn("empty.nii.gz", []))
    told = {
        "There is no model 'nosuch'": monailabel_client.refused("infer", "nosuch", key, {}, label),
        "The archive has no image 'nosuch'": monailabel_client.refused("infer", MODEL, "nosuch", dict(PARAMS), label),
        "There is no session 'nosuch'": monailabel_client.refused("infer", MODEL, key, dict(PARAMS), label, None, "nosuch"),
        "Scribbles come in a part called label": monailabel_client.refused("infer", MODEL, key, dict(PARAMS)),
        "odd.nii.gz lies on another grid than its image": monailabel_client.refused("infer", MODEL, key, dict(PARAMS), odd),
        "label_info": monailabel_client.refused("infer", MODEL, key, {**PARAMS, "label_info": "x"}, label),
        "names no foreground_scribbles": monailabel_client.refused(
            "infer", MODEL, key, {**PARAMS, "label_info": SCRIBBLES[2:]}, empty
        ),
        "There is nothing to begin with": monailabel_client.refused("infer", MODEL, key, dict(PARAMS), empty),
        "roi is six whole numbers": monailabel_client.refused("infer", MODEL, key, {**PARAMS, "roi": [1, 2]}, label),
        "lies outside the image": monailabel_client.refused("infer", "casewise-clicks", key, {"foreground": [[99, 0, 0]]}),
        "is a list of at most": monailabel_client.refused("infer", "casewise-clicks", key, {"foreground": [["a"]]}),
        "choose the structure": monailabel_client.refused(
            "infer", "casewise-clicks", key, {"label": "background", "foreground": [[1, 1, 1]]}
        ),
        "is for T1 MR crops": monailabel_client.refused("infer", "casewise-hippocampus", key_of(served, "RAS"), {}),
    }
    for part, message in told.items():
        assert "Status: 400" in message or "Status: 404" in message, message
        assert part in message
        assert str(tmp_path) not in message
        assert "/tmp/" not in message
    odd_values = (
        {"result_dtype": [None]},
        {"label": "\ud800", "roi": "\ud800"},
        {"foreground": [[1e300, 2, 3]]},
        {"roi": [10**30] * 6},
    )
    for given in odd_values:
        form = {"params": json.dumps({"foreground": [[20, 14, 20]], **given})}
        assert http.post(f"/infer/casewise-clicks?image={key}", data=form).status_code == 400, given
    assert http.post("/train/segmenter", json={"start": [None]}).status_code == 400
    nothing = http.post(f"/infer/{MODEL}", data={"params": "{}"})
    assert (nothing.status_code, nothing.json()["detail"]) == (400, "The call names no image; give the image's id.")
    bad = http.post(f"/infer/{MODEL}?image={key}", data={"params": "{not json"})
    assert bad.status_code == 400
    assert bad.json()["detail"].startswith("params is a JSON object")
    garbage = http.post(f"/infer/{MODEL}?image={key}", content=b"--x", headers={"content-type": "multipart/form-data; boundary=y"})
    assert garbage.status_code == 400


def test_sessions_keep_a_clients_own_image(
    client: PythonClient, http: httpx.Client, served: Served, scene: scenes.Scene, drawn: Callable[..., Path], tmp_path: Path
) -> None:
    own = scenes.volume(tmp_path, "oblique left-handed")
    session = client("create_session", str(own.path))
    identity = session["session_id"]
    assert client("get_session", identity)["image"] == own.path.name
    assert str(served.archive.folder) not in json.dumps(session)
    assert http.get(f"/session/{identity}?image=true").content == own.path.read_bytes()
    labels = np.zeros(scenes.SHAPE, np.uint8)
    labels[tuple(np.array(line(scenes.CENTRE)).T)] = 2
    label = str(write(tmp_path / "own.nii.gz", Image(labels[None], own.image.affine)))
    mask, _ = client("infer", MODEL, "MRHead", dict(PARAMS), label, None, identity)
    assert dice(read(mask).array[0], own.ball) > 0.2  # on the grid of the client's own file
    # Clicks count voxels of the client's own file, which nobody has flipped.
    mask, _ = client(
        "infer", "casewise-clicks", "MRHead", {"label": "b", "foreground": [list(scenes.CENTRE)]}, None, None, identity
    )
    assert np.allclose(read(mask).affine, own.image.affine, atol=1e-4)
    clicked = read(mask).array[0]
    assert clicked[scenes.CENTRE]
    assert np.abs(np.argwhere(clicked).mean(axis=0) - scenes.CENTRE).max() < 5
    assert client("remove_session", identity)["name"] == identity
    assert "404" in client.refused("remove_session", identity)
    assert "There is no session" in client.refused("get_session", "no-such-session")
    assert "404" in client.refused("get_session", "../../x")
    nothing = http.put("/session/", files={"files": ("a.nii.gz", b"nothing")})
    assert nothing.status_code == 400
    assert "a.nii.gz" in nothing.json()["detail"]
    assert "/" not in nothing.json()["detail"].replace("a.nii.gz", "")
    series = scenes.series(tmp_path, downwards=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(series.path.iterdir()):
            archive.write(file, f"../../{file.name}")
    made = http.put("/session/?uncompress=true&expiry=60", files={"files": ("s.zip", packed.getvalue())})
    assert made.json()["session_info"]["expiry"] == 60


def test_uploads_are_known_by_the_name_that_the_client_gave(
    monailabel_client: PythonClient, http: httpx.Client, served: Served, scene: scenes.Scene, tmp_path: Path
) -> None:
    own = scenes.volume(tmp_path, "oblique left-handed")
    assert monailabel_client("upload_image", str(own.path), "case 038/a")["image"] == "case 038/a"
    assert monailabel_client("upload_image", str(own.path), "case 038/a")["image"] == "case 038/a"  # the same once more
    assert len(served.archive) == 3
    label = str(write(tmp_path / "label.nii.gz", Image(own.ball[None].astype(np.uint8), own.image.affine)))
    saved = monailabel_client("save_label", "case 038/a", label, "", {"label_info": [{"name": "ball", "idx": 1}]})
    assert np.array_equal(served.archive.case(saved["image"]).load_masks["ball"](), own.ball)
    # Clicks in an image that the client has from its own file count as that file does.
    mask, _ = monailabel_client("infer", "casewise-clicks", "case 038/a", {"label": "b", "foreground": [list(scenes.CENTRE)]})
    answer = read(mask)
    assert np.allclose(answer.affine, own.image.affine, atol=1e-4)
    assert answer.array[0][scenes.CENTRE]
    # One name, two images: a mask of the one would come to lie on the other.
    for name in ("case 038/a", "LAS"):
        assert "has another image called" in monailabel_client.refused("upload_image", str(tmp_path / "RAS.nii.gz"), name)
    noid = http.put("/datastore/image", files={"file": ("C:\\Users\\x\\oblique-left-handed.nii.gz", own.path.read_bytes())})
    assert noid.json() == {"image": "oblique-left-handed"}
    # What the archive holds already is no second image, and is known by the new name too.
    assert monailabel_client("upload_image", str(scene.path), "mine")["image"] == "mine"
    assert len(served.archive) == 3
    assert monailabel_client("infer", "casewise-clicks", "mine", {"foreground": [list(scenes.CENTRE)]})[1]["strokes"] == 1


def test_labels_are_saved_described_and_removed(
    client: PythonClient, http: httpx.Client, served: Served, scene: scenes.Scene, tmp_path: Path
) -> None:
    key = key_of(served)
    labels = np.zeros(scenes.SHAPE, np.uint8)
    labels[scene.ball], labels[2:5, 2:5, 2:5] = 1, 2
    label = str(write(tmp_path / "label.nii.gz", Image(labels[None], scene.image.affine)))
    names = {"label_info": [{"name": "Anterior", "idx": 1}, {"name": "Posterior", "idx": 2}, {"name": "Nothing", "idx": 3}]}
    assert client("save_label", "LAS", label, "", dict(names)) == {"image": key, "label": key}
    masks = served.archive.case(key).load_masks
    assert list(masks) == ["Anterior", "Posterior"]
    assert np.array_equal(masks["Anterior"](), labels == 1)
    assert np.array_equal(mask_in(client("download_label", key, "final"), tmp_path), outward(labels))
    # A model's answer is no mask that anything is trained on.
    client("save_label", key, label, "original", {**names, "model": MODEL})
    assert http.get("/datastore/").json()["label_tags"] == {"final": 1, "original": 1}
    assert http.get(f"/datastore/label/info?label={key}&tag=original").json()["label_info"] == names["label_info"][:2]
    assert http.put(f"/datastore/label/info?label={key}&tag=final", data={"info": '{"checked": true}'}).json() is None
    assert http.get(f"/datastore/label/info?label={key}&tag=final").json()["checked"] is True
    for tag, status in (("final", 200), ("original", 200), ("nosuch", 404), ("../x", 400)):
        assert http.head("/datastore/label", params={"image": key, "tag": tag}).status_code == status
    assert http.delete(f"/datastore/label?id={key}&tag=original").json() == {}
    assert http.delete(f"/datastore/label?id={key}&tag=original").json() == {}
    assert http.delete(f"/datastore/label?id={key}&tag=final").status_code == 403
    assert list(served.archive.case(key).load_masks) == ["Anterior", "Posterior"]
    assert "404" in client.refused("download_label", key, "nosuchtag")
    assert "404" in client.refused("save_label", "nosuch", label)
    assert "Nothing is drawn" in client.refused(
        "save_label", key, str(write(tmp_path / "e.nii.gz", Image(0 * labels[None], scene.image.affine)))
    )
    assert "the value 2, which label_info does not name" in client.refused(
        "save_label", key, label, "", {"label_info": names["label_info"][:1]}
    )
    assert http.put(f"/datastore/label?image={key}", data={"params": "{}"}).status_code == 400


def test_another_persons_mask_stays(monailabel_client: PythonClient, served: Served, scene: scenes.Scene, tmp_path: Path) -> None:
    key = key_of(served)
    theirs = np.zeros(scenes.SHAPE, bool)
    theirs[1:4, 1:4, 1:4] = True
    served.archive.add_masks(key, served.archive.case(key).image, {"ball": theirs}, origin={"user": "bob"})
    label = str(write(tmp_path / "label.nii.gz", Image(scene.ball[None].astype(np.uint8), scene.image.affine)))
    monailabel_client("save_label", key, label, "", {"label_info": [{"name": "ball", "idx": 1}]})
    masks = served.archive.case(key).load_masks
    assert np.array_equal(masks["ball"](), theirs)
    assert np.array_equal(masks["ball@local"](), scene.ball)
    listed = monailabel_client("datastore")["objects"][key]["labels"]["final"]["info"]["params"]["label_names"]
    assert listed == {"ball": 1}
    assert np.array_equal(mask_in(monailabel_client("download_label", key, "final"), tmp_path).astype(bool), outward(scene.ball))


def test_masks_of_others_that_a_client_sends_back_stay_theirs(
    monailabel_client: PythonClient, served: Served, scene: scenes.Scene, tmp_path: Path
) -> None:
    """Slicer submits whatever the image shows, also structures that the person never touched."""
    key, labels = key_of(served), np.zeros(scenes.SHAPE, np.uint8)
    labels[scene.ball], labels[1:4, 1:4, 1:4] = 1, 2
    served.archive.add_masks(key, served.archive.case(key).image, {"ball": labels == 1}, origin={"user": "bob"})
    names = {"label_info": [{"name": "ball", "idx": 1}, {"name": "cyst", "idx": 2}]}

    def saved() -> dict[str, int]:
        label = str(write(tmp_path / "label.nii.gz", Image(labels[None], scene.image.affine)))
        monailabel_client("save_label", key, label, "", dict(names))
        return {name: int(load().sum()) for name, load in served.archive.case(key).load_masks.items()}

    ball = int((labels == 1).sum())
    assert saved() == {"ball": ball, "cyst": 27}
    labels[tuple(np.argwhere(labels == 1)[0])] = 0
    assert saved() == {"ball": ball, "cyst": 27, "ball@local": ball - 1}
    names["label_info"][1]["name"] = "ball@bob"
    label = str(write(tmp_path / "label.nii.gz", Image(labels[None], scene.image.affine)))
    assert "A structure's name has no @" in monailabel_client.refused("save_label", key, label, "", names)
    assert sorted(served.archive.case(key).load_masks) == ["ball", "ball@local", "cyst"]


def test_images_are_described_and_stay(http: httpx.Client, served: Served, scene: scenes.Scene) -> None:
    key = key_of(served)
    assert http.put(f"/datastore/image/info?image={key}", data={"info": '{"comment": "x"}'}).json() is None
    assert http.get(f"/datastore/image/info?image={key}").json()["comment"] == "x"
    assert http.get("/datastore/image/info?image=nosuch").status_code == 404
    assert http.get("/datastore/image?image=nosuch").json()["detail"].startswith("The archive has no image 'nosuch'")
    assert http.head("/datastore/image?image=nosuch").status_code == 404
    kept = http.delete(f"/datastore/image?id={key}")
    assert kept.status_code == 403 and "exclude this one in its set" in kept.json()["detail"]
    assert http.delete("/datastore/image?id=nosuch").status_code == 404
    assert len(served.archive) == 2


def test_trainings_one_at_a_time(monailabel_client: PythonClient, http: httpx.Client, served: Served, scene: scenes.Scene) -> None:
    assert "404" in monailabel_client.refused("train_status")
    assert monailabel_client("train_status", True) is False
    assert monailabel_client("train_stop") is None
    assert "there is nothing to train on" in monailabel_client.refused("train_start", "segmenter", {})
    case = served.archive.case(key_of(served))
    served.archive.add_masks(case.key, case.image, {"spleen": scene.ball})
    assert "There is no trainer 'nosuch'" in monailabel_client.refused("train_start", "nosuch", {})
    config = monailabel_client("info")["trainers"]["segmenter"]["config"]
    chosen = {name: value[0] if isinstance(value, list) else value for name, value in config.items()}  # as Slicer sends it
    task = monailabel_client("train_start", "segmenter", chosen)
    assert (task["status"], task["request"]["model"]) == ("SUBMITTED", "segmenter")
    assert task["details"][-1].endswith("It waits for a worker.")
    assert "429" in monailabel_client.refused("train_start", "segmenter", {})
    assert http.post("/train/segmenter", json={}).status_code == 429
    assert monailabel_client("train_status", True) is True
    assert http.get("/train/?check_if_running=true").json()["status"] == "RUNNING"
    stopped = monailabel_client("train_stop")
    assert (stopped["status"], stopped["id"]) == ("STOPPED", task["id"])
    assert stopped["details"]  # Slicer displays the last one
    assert "end_ts" in stopped
    assert monailabel_client("train_status")["status"] == "STOPPED"
    assert monailabel_client("train_stop") is None
    assert [one["id"] for one in http.get("/train/?all=true").json()] == [task["id"]]
    by_name = http.post("/train/", json={"segmenter": {"steps": 5}}).json()  # as OHIF asks
    assert by_name["segmenter"]["result"]["status"] == "SUBMITTED"
    job = served.app.state.services.jobs.get(int(by_name["segmenter"]["result"]["id"]))
    assert (job.payload["structures"], job.payload["steps"], job.payload["start"]) == (["spleen"], 5, None)
    assert monailabel_client("info")["train_stats"]["segmenter"]["epoch"] == 0


def test_batches_and_scoring_are_jobs(http: httpx.Client, served: Served, scene: scenes.Scene) -> None:
    for path in ("/batch/infer", "/scoring/"):
        assert http.get(path).status_code == 404
        assert http.delete(path).json() is None
    started = http.post("/batch/infer/casewise-hippocampus?images=unlabeled", json={"save_label": True}).json()
    assert started["status"] == "SUBMITTED"
    assert http.post("/batch/infer/casewise-hippocampus", json={}).status_code == 429
    assert http.get("/batch/infer").json()["id"] == started["id"]
    assert http.delete("/batch/infer").json()["status"] == "STOPPED"
    assert http.post("/batch/infer/casewise-hippocampus?images=nonsense", json={}).status_code == 400
    assert http.post(f"/batch/infer/{MODEL}", json={}).status_code == 404
    assert http.post("/batch/infer/casewise-hippocampus", json={"label_tag": "final"}).status_code == 400
    assert http.post("/scoring/nosuch", json={}).status_code == 404
    assert http.post("/scoring/dice", json={}).json()["status"] == "SUBMITTED"
    assert http.delete("/scoring/").json()["status"] == "STOPPED"


def test_models_are_given_out_and_not_replaced(http: httpx.Client) -> None:
    told = http.get("/model/info/casewise-hippocampus").json()
    assert told["checksum"].startswith("SHA256:")
    packed = zipfile.ZipFile(io.BytesIO(http.get("/model/casewise-hippocampus").content))
    assert "casewise-hippocampus/weights.safetensors" in packed.namelist()
    assert http.put("/model/casewise-hippocampus", files={"file": ("m.pt", b"not a model")}).status_code == 403
    assert http.delete("/model/casewise-hippocampus").status_code == 403
    assert http.put(f"/model/{MODEL}", files={"file": ("m.pt", b"x")}).status_code == 404
    assert http.get("/model/nosuch").status_code == 404


def test_logs(http: httpx.Client) -> None:
    http.post("/scoring/dice", json={})
    text = http.get("/logs/?lines=5&text=true")
    assert text.headers["content-type"].startswith("text/plain")
    assert "score drafts" in text.text
    page = http.get("/logs/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<script" not in page.text
    assert http.get("/logs/gpu?html=false").status_code == 200
