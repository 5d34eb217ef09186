"""``casewise import --from``: studies of a real PACS in an archive, whatever is killed or goes away in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from casewise.archive import Archive
from casewise.hashing import image_key
from tests.cli.conftest import Call, on_terminal
from tests.dicom_studies import ct
from tests.exchange.pacs_studies import TITLE, Held, fill
from tests.orthanc import Orthanc, free_port, orthanc

LONG = 160  # instances of a series that takes a while


@dataclass(frozen=True)
class Filled:
    pacs: Orthanc
    held: Held
    move_port: int
    long: Path

    @property
    def node(self) -> str:
        return f"{self.pacs.title}@127.0.0.1:{self.pacs.port}"

    @property
    def web(self) -> str:
        return f"{self.pacs.http}/dicom-web"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder, port = tmp_path_factory.mktemp("pacs"), free_port()
    with orthanc(folder / "orthanc", {"casewise": (TITLE, port)}) as pacs:
        held = fill(pacs, folder)
        pacs.add(*ct(folder / "long", LONG, AccessionNumber="LONG", PatientID="HOSP-9").files)
        yield Filled(pacs, held, port, folder / "long")


@pytest.fixture
def filled_anew(filled: Filled) -> Iterator[Filled]:
    """Whose PACS may be stopped."""
    yield filled
    if filled.pacs.process is None:
        filled.pacs.start()


def fetched_files(archive: Path) -> list[Path]:
    return sorted((archive / "server" / "dicom" / "fetched").glob("*/*.dcm"))


def everything_in(folder: Path) -> bytes:
    """Of every file but the fetched ones."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    return b"".join(path.read_bytes() for path in files)


@pytest.fixture
def from_disk(filled: Filled, tmp_path: Path, call: Call) -> Path:
    """An archive of study A1, imported from files."""
    folders = {path.parent for series in filled.held.now for path in series.files}
    assert call("import", tmp_path / "disk", *sorted(folders), "--device", "cpu").code == 0
    return tmp_path / "disk"


def images_in(folder: Path) -> tuple[set[str], set[str]]:
    """Keys of the archive, which are those of the files' bytes, and of the pixels and geometry."""
    with Archive.open(folder) as archive:
        return {record.key for record in archive.images()}, {image_key(case.image) for case in archive.cases()}


@pytest.mark.parametrize("way", ["get", "move", "web"])
def test_the_images_are_those_of_the_same_files_on_disk(
    filled: Filled, tmp_path: Path, call: Call, from_disk: Path, way: str
) -> None:
    more = ["--retrieve", "move", "--move-port", filled.move_port] if way == "move" else []
    system = filled.web if way == "web" else filled.node
    done = call("import", tmp_path / "a", "--from", system, "--accession", "A1", *more, "--json")
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert {name: document[name] for name in ("added", "known", "studies", "series", "instances", "fetched")} == {
        "added": 3,
        "known": 0,
        "studies": 1,
        "series": 3,
        "instances": 24,
        "fetched": 24,
    }
    (keys, pixels), (keys_from_disk, pixels_from_disk) = images_in(tmp_path / "a"), images_in(from_disk)
    assert pixels == pixels_from_disk
    if way == "web":  # the very files; by DIMSE comes a data set, whose file has another header of its own
        assert keys == keys_from_disk
    with Archive.open(tmp_path / "a") as archive:
        assert {record.site for record in archive.images()} == {"127.0.0.1" if way == "web" else "ORTHANC"}
    again = json.loads(call("import", tmp_path / "a", "--from", system, "--accession", "A1", *more, "--json").out)
    assert (again["added"], again["known"], again["fetched"], again["instances"]) == (0, 3, 0, 24)


def test_unknown_accession_numbers_are_named_and_the_others_are_there(filled: Filled, tmp_path: Path, call: Call) -> None:
    pacs = filled.pacs
    numbers = [f"N{n:02d}" for n in range(30)]
    unknown = {"N07", "N23"}
    for number in numbers:
        if number not in unknown:
            pacs.add(*ct(tmp_path / number, 2, rows=8, columns=8, AccessionNumber=number, PatientID=f"P-{number}").files)
    table = tmp_path / "numbers.csv"
    table.write_text("Name;AccessionNumber\n" + "".join(f"x;{number}\n" for number in [*numbers, "N00", "N01"]))
    done = call("import", tmp_path / "a", "--from", filled.node, "--accession", table, "--accession", "N02", "--json")
    assert done.code == 1
    document = json.loads(done.out)
    assert {one["path"] for one in document["failed"]} == unknown
    assert (document["studies"], document["instances"], document["fetched"]) == (28, 56, 56)
    assert document["added"] == 28
    assert all(number in done.err for number in unknown)
    assert len(done.err.strip().splitlines()) == 2


def test_a_selection_is_narrowed_and_counted_before_it_is_fetched(filled: Filled, tmp_path: Path, call: Call) -> None:
    def listed(*words: object) -> dict[str, object]:
        done = call("import", tmp_path / "none", "--from", filled.node, *words, "--list", "--json")
        assert done.code == 0, done.err
        return {name: value for name, value in json.loads(done.out).items() if name != "failed"}

    none = {"priors": 0, "left_out_series": 0}
    assert listed("--accession", "A1") == {"studies": 1, "series": 3, "instances": 24, **none}
    assert listed("--accession", "A1", "--modality", "ct") == {
        "studies": 1,
        "series": 1,
        "instances": 10,
        **none,
        "left_out_series": 2,
    }
    assert listed("--patient-id", "HOSP-4711", "--date", "-20230630") == {"studies": 2, "series": 2, "instances": 6, **none}
    study = filled.held.now[0].study_uid
    assert listed("--study", study, "--accession", "A1", "--description", "NÜCHTERN") == {
        "studies": 1,
        "series": 3,
        "instances": 24,
        **none,
    }
    assert not (tmp_path / "none").exists()


def test_priors_of_the_same_patient_come_newest_first(filled: Filled, tmp_path: Path, call: Call) -> None:
    def listed(*words: object) -> tuple[object, ...]:
        done = call("import", tmp_path / "none", "--from", filled.web, "--accession", "A1", *words, "--list", "--json")
        assert done.code == 0, done.err
        document = json.loads(done.out)
        return document["studies"], document["priors"], document["instances"]

    assert listed("--priors", 1) == (2, 1, 24 + 5)  # the CT of the year before
    assert listed("--priors", 5) == (3, 2, 24 + 5 + 1)
    assert listed("--priors", 5, "--priors-like", "modality") == (2, 1, 24 + 5)
    assert listed("--priors", 1, "--modality", "MR") == (1, 0, 14)


def test_nothing_of_a_patient_is_kept_beside_the_files(filled: Filled, tmp_path: Path, call: Call) -> None:
    (tmp_path / "patients.txt").write_text("HOSP-4711\n")
    done = call(
        "import", tmp_path / "a", "--from", filled.node, "--patient-id", tmp_path / "patients.txt", "--patient-id", "NOBODY-1",
        "--date", "20230101", "--json",
    )  # fmt: skip
    assert done.code == 1
    assert json.loads(done.out)["studies"] == 1
    assert "patient 2" in done.err
    for said in (done.out, done.err, everything_in(tmp_path / "a").decode("latin-1")):
        for secret in ("HOSP-4711", "NOBODY", "nne^", "19570321"):
            assert secret not in said
    assert b"A2" not in (tmp_path / "a" / "catalogue.sqlite").read_bytes()


def started(archive: Path, filled: Filled, until: Callable[[int], bool]) -> subprocess.Popen[bytes]:
    """A fetch of the long series in a process of its own, once ``until`` holds of the number of files that came."""
    command = [sys.executable, "-m", "casewise", "import", archive, "--from", filled.node, "--accession", "LONG", "--json"]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell starts what it puts in the background with Ctrl-C ignored, and these tests with it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not until(len(fetched_files(archive))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)  # seldom enough to leave the processor to the fetch
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_fetch_goes_on_with_what_is_missing(filled: Filled, tmp_path: Path, call: Call, end: signal.Signals) -> None:
    for number in range(3):  # on a busy machine all may have come before the signal does
        archive = tmp_path / f"a{number}"
        process = started(archive, filled, lambda count: count >= 10)
        os.kill(process.pid, end)
        _, err = process.communicate(timeout=120)
        assert b"Exception ignored" not in err, "the signal came where nothing can be raised, and was lost"
        if process.returncode:
            break
    if end == signal.SIGINT:
        assert process.returncode == 130, err
        assert b"run the same command again" in err
    there = {path: path.stat().st_mtime_ns for path in fetched_files(archive)}
    assert 10 <= len(there) < LONG
    done = call("import", archive, "--from", filled.node, "--accession", "LONG", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert (document["instances"], document["fetched"], document["added"]) == (LONG, LONG - len(there), 1)
    assert {path: path.stat().st_mtime_ns for path in there} == there


def test_a_pacs_that_ends_in_between_is_a_failure_and_the_next_call_goes_on(
    filled_anew: Filled, tmp_path: Path, call: Call
) -> None:
    archive, pacs = tmp_path / "a", filled_anew.pacs
    process = started(archive, filled_anew, lambda count: count >= 10)
    assert pacs.process is not None
    pacs.process.kill()
    pacs.stop()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    (failure,) = json.loads(out)["failed"]
    assert failure["path"] == "LONG"
    assert b"Traceback" not in err
    with Archive.open(archive) as opened:
        assert len(opened) == 0  # half a series is none
    there = len(fetched_files(archive))
    assert 10 <= there < LONG
    pacs.start()
    document = json.loads(call("import", archive, "--from", filled_anew.node, "--accession", "LONG", "--json").out)
    assert (document["added"], document["fetched"]) == (1, LONG - there)


def test_names_of_the_archives_settings_are_known(filled: Filled, tmp_path: Path, call: Call) -> None:
    (tmp_path / "a").mkdir()
    settings = f'[nodes.main]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {filled.pacs.port}\n'
    (tmp_path / "a" / "dicom.toml").write_text(settings)
    assert call("import", tmp_path / "a", "--from", "main", "--accession", "A3", "--device", "cpu").code == 0
    with Archive.open(tmp_path / "a") as archive:
        assert [record.site for record in archive.images()] == ["main"]
    done = call("import", tmp_path / "a", "--from", "other", "--accession", "A3")
    assert done.code == 2
    assert "main" in done.sentence


def test_a_terminal_shows_how_far_it_is(filled: Filled, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "casewise", "import", tmp_path / "a", "--from", filled.web, "--accession", "A2"]
    done = on_terminal(list(map(str, command)))
    assert done.code == 0
    assert "Fetching" in done.err
    assert "5/5" in done.err
    assert done.out.splitlines() == [
        "5 instances of 1 series are here, 5 of them fetched now; 1 of 1 studies are whole.",
        "1 image added, 0 already known, 0 failures.",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--from", "A@127.0.0.1:1"], "whole PACS"),
        (["--from", "A@127.0.0.1:1", "--modality", "CT"], "whole PACS"),
        (["--from", "A@127.0.0.1:1", "--accession", "A*"], "accession number"),
        (["--from", "A@127.0.0.1:1", "--accession", "nowhere.csv"], "nowhere.csv"),
        (["--from", "A@127.0.0.1:1", "--date", "2024"], "range of dates"),
        (["--from", "A@127.0.0.1:1", "--accession", "A1", "--retrieve", "move"], "move-port"),
        (["--from", "https://pacs.example/x", "--accession", "A1", "--retrieve", "move", "--move-port", "9"], "WADO-RS"),
        (["--from", "A@127.0.0.1:1", "--accession", "A1", "--title", "MUCH TOO LONG A TITLE"], "title"),
        (["--from", "A@127.0.0.1:1", "--accession", "A1", "--copy"], "call of their own"),
        (["--from", "A@127.0.0.1:1", "--accession", "A1"], "reach"),
        (["--accession", "A1"], "--from"),
        ([], "what to import"),
    ],
)
def test_what_cannot_be_is_one_sentence_before_anything_is_made(tmp_path: Path, call: Call, words: list[str], reason: str) -> None:
    done = call("import", tmp_path / "a", *words)
    assert done.code == 2
    assert reason in done.sentence
    assert not fetched_files(tmp_path / "a")
