"""Rules of a served archive: by who sent an image they choose applications, models and targets; a mistake stops nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from casewise import formats
from casewise.applications.of_archive import registry_of, stamp
from casewise.archive import Archive
from casewise.errors import UsageError
from casewise.server.dicom.facts import priority_of, sender_of
from casewise.server.jobs import Job, Jobs
from casewise.server.network_tables import arrivals
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.dicom_studies import film

HEAVY = '["chest-regions", "cardiothoracic-ratio", "irregularities", "exposure-field"]'
RULES = f"""
[[rule]]
name = "what takes long"
remove = {HEAVY}

[[rule]]
name = "emergency"
when = [
    {{ field = "calling_ae", operator = "is", value = "ER_XRAY" }},
    {{ field = "category", operator = "is", value = "chest-xray" }},
]
model = "breast_ultrasound_class"
send = ["pacs", "ws"]
objects = ["sr"]

[[rule]]
name = "ward"
when = [{{ field = "StudyDescription", operator = "contains", value = "ward round" }}]
add = ["cardiothoracic-ratio"]
send = ["pacs"]

[[rule]]
name = "tests of the machine"
when = [{{ field = "StationName", operator = "is", value = "PHANTOM" }}]
skip = true
"""
DICOM = """
[nodes.pacs]
ae_title = "PACS"
host = "127.0.0.1"
port = 104

[web.ws]
url = "http://127.0.0.1:4242/dicom-web"

[results]
send = ["pacs"]
"""


class Served:
    """An archive of real films as the network brought them, and its worker."""

    def __init__(self, folder: Path, store: Store, archive: Archive) -> None:
        self.folder, self.store, self.archive, self.jobs = folder, store, archive, Jobs(store)

    def receive(self, place: Path, picture: np.ndarray, sender: str, site: str | None = None, **tags: Any) -> str:
        """Take in a film as from ``sender``; its key."""
        series = film(place, picture, sender=sender, **tags)
        (key,) = self.archive.import_paths([series.folder], site=site).keys
        now = time.time()
        row = {"series_uid": series.series_uid, "study_uid": series.study_uid, "calling_ae": sender, "first": now, "last": now}
        with self.store.write() as connection:
            connection.execute(sa.insert(arrivals).values(called_ae="CASEWISE", state="taken in", image_keys=[key], **row))
        return key

    def analyse(self, keys: list[str], network: bool = True, **options: object) -> Job:
        about = {"network": "1.2"} if network else {}
        number = self.jobs.add("analyse", {"cases": keys, **about, **options}, created_by="ann")
        kinds = {kind: work for kind, work in Worker(self.archive, self.store, Settings()).kinds.items() if kind == "analyse"}
        Worker(self.archive, self.store, Settings(), kinds=kinds | {"deliver": lambda work: {}}).run(once=True)
        done = self.jobs.get(number)
        assert done is not None
        return done

    def sent(self, key: str) -> list[tuple[list[str], list[str] | None]]:
        """(targets, kinds) of what was queued for a case."""
        found = [job.payload for job in self.jobs.list(kinds=["deliver"])]
        return sorted((one["targets"], one["kinds"]) for one in found if one["case"] == key)

    def ran(self, key: str) -> list[str]:
        return self.archive.results(key)[-1]["decision"]["applications"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "archive"
    with Archive.open(folder, create=True) as archive:
        (folder / "dicom.toml").write_text(DICOM)
        store = Store.open(folder)
        yield Served(folder, store, archive)
        store.close()


@pytest.fixture(scope="module")
def pictures(shared_data: Path) -> Callable[[int], np.ndarray]:
    """(1024, 1024) uint16: a real chest film at half its size."""
    files = sorted((shared_data / "jsrt" / "images").iterdir())
    return lambda number: formats.read(files[number]).array[0, ::2, ::2].astype(np.uint16)


def test_two_senders_get_different_applications_models_and_targets(served: Served, tmp_path: Path, pictures) -> None:
    (served.folder / "applications.toml").write_text(RULES)
    emergency = served.receive(tmp_path / "a", pictures(0), "ER_XRAY")
    ward = served.receive(tmp_path / "b", pictures(1), "WARD_XRAY", StudyDescription="Ward round 7 am, Ms. Doe")
    other = served.receive(tmp_path / "c", pictures(2), "CLINIC")
    phantom = served.receive(tmp_path / "d", pictures(3), "ER_XRAY", StationName="PHANTOM")
    done = served.analyse([emergency, ward, other, phantom])
    assert done.state == "done" and done.result == {"analysed": 4, "failed": [], "skipped": [{"key": phantom, "reason": ANY}]}
    results = {key: served.archive.results(key)[-1] for key in (emergency, ward, other, phantom)}

    assert results[emergency]["model"]["name"] == "casewise-breast-ultrasound" and served.ran(emergency) == ["quality"]
    assert results[emergency]["decision"]["why"] == ["what takes long", "emergency"]
    assert "Rules that held: what takes long; emergency." in results[emergency]["notes"]
    assert served.sent(emergency) == [(["pacs", "ws"], ["sr"])]

    assert results[ward]["model"]["name"] == "none" and served.ran(ward) == ["quality", "cardiothoracic-ratio"]
    assert any("cardiothoracic" in str(one["label"]) for one in results[ward]["findings"])
    assert served.sent(ward) == [(["pacs"], None)]

    assert served.ran(other) == ["quality"] and served.sent(other) == [(["pacs"], None)], "where dicom.toml says"
    assert results[phantom]["headline"] == "Not analysed, by a rule" and served.sent(phantom) == []
    assert "tests of the machine" in results[phantom]["notes"][0]
    everything = str(results) + str([job.payload for job in served.jobs.list()])
    assert "Doe" not in everything and "Müller" not in everything and "4711" not in everything

    again = served.analyse([emergency, other], network=False, model="none", adapt="none")
    assert again.state == "failed", "a person's choice comes first, and there is no model of this name"
    served.analyse([ward, other], network=False, application="quality")
    assert served.archive.results(ward)[-1]["decision"] is None
    assert served.sent(ward) == [(["pacs"], None)] and served.sent(other) == [(["pacs"], None)], "not sent once more"


def test_broken_file_fails_the_analysis_and_a_mended_one_is_read_again(served: Served, tmp_path: Path, pictures) -> None:
    path = served.folder / "applications.toml"
    path.write_text("[[rule]]\nskipp = true\n")
    key = served.receive(tmp_path / "a", pictures(0), "ER_XRAY")
    failed = served.analyse([key])
    assert failed.state == "failed" and "did you mean skip" in str(failed.error) and str(failed.error).endswith(".")
    assert served.archive.results(key) == []
    path.write_text(f'[[rule]]\nname = "first"\nremove = {HEAVY}\nsend = []\n')
    assert served.analyse([key]).state == "done"
    assert served.archive.results(key)[-1]["decision"]["why"] == ["first"] and served.sent(key) == [], "an empty list is nowhere"
    path.write_text(f'[[rule]]\nname = "second"\nremove = {HEAVY}\nmodel = "no-such-model"\n')
    failed = served.analyse([key])
    assert failed.state == "failed" and "no-such-model" in str(failed.error)
    path.unlink()
    served.folder.joinpath("applications.toml").write_text('[[rule]]\nname = "third"\nskip = true\n')
    assert served.analyse([key]).result["skipped"]
    assert served.archive.results(key)[-1]["decision"]["why"] == ["first"], "what was found before still stands"


def test_unknown_targets_are_refused_when_the_file_is_read(served: Served) -> None:
    path = served.folder / "applications.toml"
    for target in ("pcs", "A@b:104", "https://a.example/dicom-web"):
        path.write_text(f'[[rule]]\nsend = ["pacs", "{target}"]\n')
        with pytest.raises(UsageError) as caught:
            registry_of(served.folder)
        assert all(word in str(caught.value) for word in (repr(target), "(pacs, ws)", "[[rule]] number 1", str(path)))
    path.write_text('[[rule]]\nsend = ["ws", "pacs"]\n')
    assert len(registry_of(served.folder).rules) == 1
    (served.folder / "dicom.toml").write_text("broken")
    with pytest.raises(UsageError, match=r"dicom\.toml cannot be used"):
        registry_of(served.folder)
    path.write_text("[[rule]]\nsend = []\n")
    assert len(registry_of(served.folder).rules) == 1, "it is not asked for anything"


def test_files_of_the_variable_are_used_too_and_come_first(served: Served, tmp_path: Path, monkeypatch) -> None:
    named = tmp_path / "named.toml"
    named.write_text('[[rule]]\nname = "named"\npriority = 1\n')
    own = served.folder / "applications.toml"
    own.write_text('[[rule]]\nname = "own"\npriority = 2\n')
    monkeypatch.setenv("CASEWISE_APPLICATIONS", os.pathsep.join([str(named), str(own)]))
    assert [rule.name for rule in registry_of(served.folder).rules] == ["named", "own"], "each once"
    monkeypatch.setenv("CASEWISE_APPLICATIONS", str(named))
    before = stamp(served.folder)
    assert [rule.name for rule in registry_of(served.folder).rules] == ["named", "own"]
    own.unlink()
    assert stamp(served.folder) != before and [rule.name for rule in registry_of(served.folder).rules] == ["named"]


def test_priority_and_sender_of_what_came(served: Served, tmp_path: Path) -> None:
    key = served.receive(tmp_path / "a", np.full((64, 64), 7, np.uint16), "ER_XRAY", StudyDescription="Polytrauma")
    image = served.archive.case(key).image
    assert sender_of(served.store, image.header.series) == {"calling_ae": "ER_XRAY", "called_ae": "CASEWISE"}
    assert sender_of(served.store, "1.2.3") == sender_of(served.store, None) == {}
    path, file = served.folder / "applications.toml", tmp_path / "a" / "film.dcm"
    assert priority_of(served.folder, file, {}) is None
    path.write_text(
        '[[rule]]\npriority = 5\nwhen = [{ field = "StudyDescription", operator = "contains", value = "trauma" }]\n'
        '[[rule]]\npriority = 7\nwhen = [{ field = "calling_ae", operator = "is", value = "er_xray" }]\n'
        '[[rule]]\npriority = 9\nwhen = [{ field = "category", operator = "is", value = "chest-xray" }]\n'
    )
    assert priority_of(served.folder, file, {}) == 7, "the file says who sent it"
    assert priority_of(served.folder, file, {"calling_ae": "CT1", "site": None}) == 5
    assert priority_of(served.folder, path, {}) is None, "no DICOM"
    path.write_text("broken")
    assert priority_of(served.folder, file, {}) is None


class _Any:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.endswith(".")


ANY = _Any()
