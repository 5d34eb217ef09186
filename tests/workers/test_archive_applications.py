"""``casewise analyze --all`` runs the applications and rules that the archive's server runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.archive import Archive
from casewise.cli import main
from casewise.server.jobs import Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker

_SPOTS = """import json, os, pathlib
answer = {"findings": [{"label": "spot", "probability": 0.75, "box": [[4, 20], [8, 30]]}]}
(pathlib.Path(os.environ["CASEWISE_OUT_DIR"]) / "result.json").write_text(json.dumps(answer))
"""
_OWN = f"""
[[application]]
name = "spots"
categories = ["*"]
features = ["spot"]
detects = ["spot"]
command = ["{sys.executable}", "{{here}}/spots.py"]

[[rule]]
name = "own"
when = [{{ field = "site", operator = "is", value = "north" }}]
remove = ["quality"]
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """One picture, in an archive whose folder declares an application and a rule."""
    noise = np.random.default_rng(3).normal(90, 30, (64, 64)).clip(0, 255)
    Pillow.fromarray(noise.astype(np.uint8)).save(tmp_path / "picture.png")
    with Archive.open(tmp_path / "archive", create=True) as archive:
        archive.import_paths([tmp_path / "picture.png"], site="north")
        (archive.folder / "spots.py").write_text(_SPOTS)
        (archive.folder / "applications.toml").write_text(_OWN)
        yield archive


def test_applications_and_rules_are_those_of_the_archives_server(
    archive: Archive, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "named.toml"
    named.write_text('[[rule]]\nname = "named"\npriority = 1\n')
    words = ["analyze", "--all", "--archive", str(archive.folder), "--device", "cpu"]
    assert main([*words, "--workers", "1", "--applications", str(named)]) == 0, capfd.readouterr().err
    (key,) = [record.key for record in archive.images()]
    store = Store.open(archive.folder)
    Jobs(store).add("analyse", {"cases": [key]})
    Worker(archive, store, Settings()).run(once=True)
    store.close()
    ours, of_server = archive.results(key)
    assert [finding["label"] for finding in ours["findings"]] == [finding["label"] for finding in of_server["findings"]] == ["spot"]
    assert ours["decision"]["applications"] == of_server["decision"]["applications"] == ["spots"]
    assert (ours["decision"]["why"], of_server["decision"]["why"]) == (["named", "own"], ["own"])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("[[rule]]\nskipp = true\n", "did you mean skip"), ('[[rule]]\nsend = ["pacs"]\n', "no system of dicom.toml")],
)
def test_a_mistake_in_the_archives_file_is_said_before_anything_is_analysed(
    archive: Archive, text: str, wrong: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (archive.folder / "applications.toml").write_text(text)
    assert main(["analyze", "--all", "--archive", str(archive.folder), "--workers", "1"]) == 2
    assert wrong in capfd.readouterr().err
    assert archive.keys_without_result()
