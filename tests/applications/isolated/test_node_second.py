"""A second casewise as the node of the first: what it finds is in the first one's report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.cli import main
from casewise.formats import read, read_mask
from tests.dicom_studies import Series, film, oblique_mr
from tests.orthanc import free_port
from tests.server.dicom.serving import served

# What the second one runs: a bright thing is a nodule.
PROGRAM = """
import json, sys
from pathlib import Path
from casewise.formats import read, write_mask
inside, out = map(Path, sys.argv[1:3])
files = [path for path in inside.iterdir() if path.suffix == ".dcm"]
image = read(files[0] if len(files) == 1 else inside)
array = image.array[0]
mask = array > (2 * float(array.mean()) + float(array.max())) / 3
write_mask(out / "nodule.nii.gz", mask, image)
nodule = {"label": "nodule", "probability": 0.83, "region": "left lung", "mask": "nodule.nii.gz", "measures": {"volume_ml": 1.25}}
absent = {"label": "pneumothorax", "kind": "absent", "probability": 0.02}
(out / "result.json").write_text(json.dumps({"findings": [nodule, absent]}))
"""
APPLICATIONS = """
[[application]]
name = "bright"
categories = ["*"]
features = ["nodules"]
detects = ["nodule", "pneumothorax"]
command = [{python}, "{{here}}/bright.py", "{{in}}", "{{out}}"]

[[rule]]
name = "nothing else"
remove = ["quality"]

[[rule]]
name = "back to who asked"
when = [{{ field = "calling_ae", operator = "is", value = "CASEWISE" }}]
send = ["first"]
objects = ["seg", "sr"]
"""
DICOM = """
ae_title = "CAD"

[[senders]]
ae_title = "CASEWISE"

[[senders]]
ae_title = "ECHOSCU"

[nodes.first]
ae_title = "CASEWISE"
host = "127.0.0.1"
port = {reply}

[receive]
idle_seconds = 1
picture_idle_seconds = 0.5

[outbox]
retry_seconds = [1, 1, 1, 1, 1, 1]
"""
FIRST = """
[[application]]
name = "second"
categories = ["*"]
features = ["nodules"]
node = "CAD@127.0.0.1:{port}"
reply_port = {reply}
results = ["seg", "sr"]
seconds = 300
"""


@pytest.mark.parametrize("kind", ["film", "mr"])
def test_a_second_casewise_answers_as_a_node(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series: Series = film(tmp_path / "film", rows=300, columns=250) if kind == "film" else oblique_mr(tmp_path / "mr", 8)
    reply = free_port()
    Archive.open(tmp_path / "second", create=True).close()
    (tmp_path / "second" / "bright.py").write_text(PROGRAM)
    (tmp_path / "second" / "applications.toml").write_text(APPLICATIONS.format(python=json.dumps(sys.executable)))
    with served(tmp_path / "second", DICOM.format(reply=reply)) as second:
        (tmp_path / "first.toml").write_text(FIRST.format(port=second.port, reply=reply))
        words = ["analyze", str(series.folder), "--application", "second", "--applications", str(tmp_path / "first.toml")]
        code = main([*words, "--output", str(tmp_path / "reports"), "--json"])
        printed = capsys.readouterr().out
        assert code == 0, [(job.state, job.error) for job in second.jobs("analyse") + second.jobs("deliver")]
    (answer,) = json.loads(printed)
    found = {one["label"]: one for one in answer["findings"]}
    assert set(found) >= {"nodule", "pneumothorax"}
    nodule, absent = found["nodule"], found["pneumothorax"]
    assert (nodule["application"], nodule["kind"], nodule["probability"], nodule["region"]) == (
        "second",
        "finding",
        0.83,
        "left lung",
    )
    assert nodule["measures"] == {"volume_ml": 1.25}
    assert (absent["kind"], absent["probability"]) == ("absent", 0.02)
    image = read(series.folder)
    array = image.array[0]
    expected = array > (2 * float(array.mean()) + float(array.max())) / 3
    np.testing.assert_array_equal(read_mask(Path(nodule["mask"]), image), expected)
    (page,) = (tmp_path / "reports").rglob("*.html")
    assert "nodule" in page.read_text()
