"""The segmentation that an analysis writes and the one that is sent of it are one object, not two series of the study."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from casewise.archive import Archive
from casewise.server.dicom.instances import Instances
from casewise.server.dicom.objects import SEGMENTATION
from casewise.server.jobs import Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.dicom_studies import oblique_mr

APPLICATION = """
from pathlib import Path
from casewise.finding import Finding
from casewise.formats import write_mask

class Seen:
    name = "seen"

    def analyze(self, image):
        levels = {name: image.array[0].mean() + image.array[0].std() * number for number, name in enumerate(("grey", "bright"))}
        paths = {name: write_mask(Path(f"{name}.nii.gz"), image.array[0] > level, image) for name, level in levels.items()}
        return [Finding("seen", name, 0.7, mask=path) for name, path in paths.items()]
"""
DECLARED = """
[[application]]
name = "seen"
categories = ["*"]
features = ["x"]
python = "seen_in_mr:Seen"

[[rule]]
name = "no others"
remove = ["brain-lesions", "mirror-symmetry", "mr-noise", "mr-shading", "quality"]
send = ["pacs"]
"""
DICOM = '[nodes.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'


def test_an_analysis_and_its_delivery_have_one_segmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "seen_in_mr.py").write_text(APPLICATION)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    made = oblique_mr(tmp_path / "mr", 12, rows=32, columns=40)
    with Archive.open(tmp_path / "archive", create=True) as archive:
        (archive.folder / "applications.toml").write_text(DECLARED)
        (archive.folder / "dicom.toml").write_text(DICOM)
        (key,) = archive.import_paths([made.folder]).keys
        store = Store.open(archive.folder)
        try:
            jobs, worker = Jobs(store), Worker(archive, store, Settings())
            jobs.add("analyse", {"cases": [key]})
            worker.run(once=True)
            worker.run(once=True)
            assert [(job.kind, job.state, job.error) for job in jobs.list()] == [
                ("deliver", "done", None),
                ("analyse", "done", None),
            ]
            found = Instances(archive, store)
            found.update(10)
            newest = archive.newest_result(key)
            assert newest is not None and [one["mask_name"] for one in newest[1]["findings"]] == ["grey", "bright"]
            segmentations = [one for one in found.find(made.study_uid) if one.sop_class == SEGMENTATION]
            files = [path for path in (archive.folder / "results").rglob("*.dcm") if dcmread(path).Modality == "SEG"]
            assert (len(files), len(segmentations)) == (2, 1)
            assert [one.SegmentLabel for one in dcmread(segmentations[0].path).SegmentSequence] == ["grey", "bright"]
        finally:
            store.close()
