"""The MR series of a received study are one examination for applications that take several sequences."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.server.jobs import Job, Jobs
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.work import KINDS
from casewise.server.worker import Worker
from tests.examination.phantom import dicom_series

STUDY = "1.2.840.99.7"
APPLICATION = """
import numpy as np
from pathlib import Path
from casewise.finding import Finding
from casewise.formats import write_mask

class Seen:
    name = "seen"

    def __init__(self, **settings):
        pass

    def analyze(self, image):
        mask = image.array[0] > np.quantile(image.array[0], 0.9)
        path = write_mask(Path("bright.nii.gz"), mask, image)
        return [Finding("seen", ",".join(image.header.sequences or ("one",)), 0.7, mask=path)]
"""
DECLARED = """
[[application]]
name = "seen"
categories = ["*"]
features = ["x"]
python = "sequence_reader:Seen"
sequences = ["FLAIR", "T1"]

[[rule]]
name = "no others"
remove = ["brain-lesions", "mirror-symmetry", "mr-noise", "mr-shading", "quality"]
send = ["pacs"]
"""
DICOM = '[nodes.pacs]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'


class Served:
    """An archive of one study's series, as the network brought them."""

    def __init__(self, archive: Archive, store: Store) -> None:
        self.archive, self.store, self.jobs = archive, store, Jobs(store)
        self.folder = archive.folder
        self.keys: list[str] = []

    def receive(self, place: Path, kind: str, number: int, **tags: Any) -> str:
        folder = dicom_series(place, kind, number, StudyInstanceUID=STUDY, PatientID="P1", **tags)
        (key,) = self.archive.import_paths([folder], site="MR1").keys
        uid = pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True).SeriesInstanceUID
        now = time.time()
        self.keys.append(key)
        row = {"series_uid": uid, "study_uid": STUDY, "calling_ae": "MR1", "first": now, "last": now, "image_keys": [key]}
        with self.store.write() as connection:
            connection.execute(sa.insert(arrivals).values(state="taken in", **row))
        return key

    def analyse(self, keys: list[str]) -> Job:
        number = self.jobs.add("analyse", {"cases": keys, "network": STUDY, "study_cases": self.keys})
        kinds = {"analyse": KINDS["analyse"], "deliver": lambda work: {}}
        Worker(self.archive, self.store, Settings(), kinds=kinds).run(once=True)
        done = self.jobs.get(number)
        assert done is not None
        return done


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "sequence_reader.py").write_text(APPLICATION)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        (folder / "applications.toml").write_text(DECLARED)
        (folder / "dicom.toml").write_text(DICOM)
        store = Store.open(folder)
        yield Served(archive, store)
        store.close()


def newest(served: Served, key: str) -> dict[str, Any]:
    found = served.archive.newest_result(key)
    assert found is not None
    return found[1]


def test_a_study_of_sequences_is_one_examination(served: Served, tmp_path: Path) -> None:
    t1 = served.receive(tmp_path / "t1", "T1", 2)
    flair = served.receive(tmp_path / "flair", "FLAIR", 3)
    localizer = served.receive(tmp_path / "loc", "T2", 1, SeriesDescription="3-plane localizer")
    done = served.analyse([t1, flair, localizer])
    assert done.state == "done", done.error
    assert done.result == {"analysed": 3, "failed": [], "skipped": []}
    result = newest(served, flair)
    assert [one["name"] for one in result["sequences"]] == ["FLAIR", "T1"] and result["parts"] == [t1]
    assert [one["label"] for one in result["findings"]] == ["FLAIR,T1"]
    part = newest(served, t1)
    assert part["headline"] == "Analysed as a part of its examination" and "findings" not in part
    assert [one["label"] for one in newest(served, localizer)["findings"]] == ["one"], "what is no sequence is analysed by itself"
    segmentation = pydicom.dcmread(served.folder / result["segmentation"])
    series = served.archive.case(flair).image.header.series
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == series and segmentation.StudyInstanceUID == STUDY
    sent = [(job.payload["case"], job.payload["targets"]) for job in served.jobs.list(kinds=["deliver"])]
    assert sorted(sent) == sorted([(flair, ["pacs"]), (localizer, ["pacs"])])

    post = served.receive(tmp_path / "post", "T1 post", 4, SeriesDescription="T1 post Gd", ContrastBolusAgent="Gd")
    done = served.analyse([post])
    assert done.result is not None and done.result["analysed"] == 1, done.error
    assert [one["name"] for one in newest(served, flair)["sequences"]] == ["FLAIR", "T1", "T1 post"], "one that came later joins"
    assert newest(served, t1) == part, "and nothing else is analysed again"


def test_no_application_for_sequences_leaves_each_series_to_itself(served: Served, tmp_path: Path) -> None:
    text = DECLARED.replace('sequences = ["FLAIR", "T1"]', "")
    (served.folder / "applications.toml").write_text(text)
    keys = [served.receive(tmp_path / kind, kind, number) for number, kind in enumerate(("T1", "FLAIR"))]
    assert served.analyse(keys).result == {"analysed": 2, "failed": [], "skipped": []}
    for key in keys:
        assert [one["label"] for one in newest(served, key)["findings"]] == ["one"] and "sequences" not in newest(served, key)


def test_sequences_that_cannot_be_put_together_are_analysed_alone(served: Served, tmp_path: Path) -> None:
    keys = [
        served.receive(tmp_path / "t1", "T1", 1),
        served.receive(tmp_path / "flair", "FLAIR", 2, PatientBirthDate="19700101", IssuerOfPatientID="other"),
    ]
    assert served.analyse(keys).result == {"analysed": 2, "failed": [], "skipped": []}
    notes = " ".join(newest(served, keys[1])["notes"])
    assert "could not be put together" in notes and "2 patients" in notes
    assert [one["label"] for one in newest(served, keys[0])["findings"]] == ["one"]
