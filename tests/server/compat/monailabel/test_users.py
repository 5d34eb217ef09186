"""Signing in as MONAI Label's clients do, where the server has users."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from casewise.server.settings import Settings
from casewise.server.users import save
from tests.server.compat.monailabel import scenes
from tests.server.compat.monailabel.conftest import PythonClient, Served, serve

PASSWORD = "correct horse battery"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    for made in serve(tmp_path / "archive", Settings()):
        save(made.store, "root", "admin", password=PASSWORD)
        save(made.store, "ann", "annotator", password=PASSWORD)
        save(made.store, "bob", "annotator", password=PASSWORD)
        save(made.store, "rita", "reader", password=PASSWORD)
        made.archive.import_paths([scenes.volume(tmp_path, "LAS").path])
        yield made


def sign_in(client: PythonClient, name: str) -> None:
    assert client("auth_enabled") is True
    client("update_auth", client("auth_token", name, PASSWORD))
    assert client("auth_valid_token") is True


def test_nothing_is_open_to_who_has_not_signed_in(client: PythonClient, served: Served) -> None:
    assert client("auth_valid_token") is False
    assert "401" in client.refused("info")
    assert "401" in client.refused("auth_token", "ann", "wrong")
    for path in ("/datastore/?output=all", "/datastore/image?image=LAS", "/logs/", "/train/"):
        assert httpx.get(served.url + path, timeout=120).status_code == 401


def test_a_token_works_for_every_call_also_with_the_stale_length_that_the_client_repeats(
    client: PythonClient, served: Served, tmp_path: Path
) -> None:
    sign_in(client, "ann")
    big = tmp_path / "big.nii.gz"
    big.write_bytes(bytes(17 << 20))  # more than a call without an upload may have
    assert "400" in client.refused("upload_image", str(big), "big")
    assert client("info")["name"] == "casewise"  # sent with the length of that upload, and no body
    assert client("train_stop") is None
    assert client("datastore")["objects"]


def test_slicer_downloads_an_image_by_the_ticket_in_its_id(client: PythonClient, served: Served, tmp_path: Path) -> None:
    """Slicer fetches images by an address alone, without the token."""
    sign_in(client, "ann")
    sample = client("next_sample", "first", {})
    with urllib.request.urlopen(f"{served.url}/datastore/image?image={sample['id']}") as reply:
        assert reply.read(4) == b"NRRD"
    key = sample["id"].partition("~")[0]
    for identity in (key, f"{key}~x", f"{'0' * 32}~{sample['id'].partition('~')[2]}"):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{served.url}/datastore/image?image={identity}")
    assert (
        httpx.get(f"{served.url}/datastore/label?label={sample['id']}", timeout=120).status_code == 401
    )  # it is good for the image alone
    assert sample["id"] in client("datastore")["objects"]  # where Slicer looks for the label it begins with
    mask, _ = client("infer", "casewise-clicks", sample["id"], {"label": "ball", "foreground": [[26, 14, 20]]})
    saved = client("save_label", sample["id"], mask, "", {"label_info": [{"name": "ball", "idx": 1}]})
    assert saved["image"] == key
    assert served.archive.labels(key)[0]["origin"]["user"] == "ann"  # type: ignore[index]


def test_a_reader_reads(client: PythonClient, served: Served) -> None:
    sign_in(client, "rita")
    assert client("info")["datastore"]["total"] == 1
    assert "403" in client.refused("next_sample", "first", {})
    assert "403" in client.refused("train_start", "segmenter", {})
    assert "403" in client.refused("infer", "casewise-clicks", "LAS", {"foreground": [[26, 14, 20]]})


def test_one_persons_session_is_not_anothers(client: PythonClient, served: Served, tmp_path: Path) -> None:
    sign_in(client, "ann")
    identity = client("create_session", str(tmp_path / "LAS.nii.gz"))["session_id"]
    assert client("get_session", identity)["name"] == identity
    sign_in(client, "bob")
    assert "404" in client.refused("get_session", identity)
    assert "404" in client.refused("infer", "casewise-clicks", "x", {"foreground": [[26, 14, 20]]}, None, None, identity)
