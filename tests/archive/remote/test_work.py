"""What people do with an archive in a bucket, when nothing is left on this machine but the archive's folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from casewise.archive.remote.address import Address
from casewise.archive.remote.cache import Cache, let_go
from casewise.cli import main
from casewise.errors import UnreadableImageError
from casewise.formats import write
from casewise.header import Header
from casewise.image import Image
from casewise.interaction import InteractiveSegmentation
from casewise.interaction.sets.guidance import accept
from casewise.models import Model, Preparation, Spec
from tests.cli.conftest import disc
from tests.dicom_studies import ct
from tests.discs import DISC, segmenter
from tests.image_trees import MeanEncoder, paired
from tests.s3 import S3, Bucket
from tests.waiting import SECONDS


@pytest.fixture
def discs(bucket: Bucket, tmp_path: Path) -> Path:
    """An archive of twelve discs from two sites, with masks; the files that it was made of are gone."""
    for number in range(12):
        _case(tmp_path / "given" / "NS"[number // 6], number)
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        for site in "NS":
            assert archive.import_paths([tmp_path / "given" / site], copy=True, site=site).added == 6
    shutil.rmtree(tmp_path / "given")
    empty(tmp_path / "a")
    return tmp_path / "a"


def _case(folder: Path, number: int) -> Path:
    """A disc's picture in ``folder``, with its mask."""
    array, mask = disc(number, 32)
    write(folder / "disc_masks" / f"s{number}.png", Image(mask[None], header=Header(spacing_known=False)))
    return write(folder / "images" / f"s{number}.png", Image(array[None], header=Header(spacing_known=False)))


def empty(folder: Path) -> None:
    let_go()
    shutil.rmtree(folder / "cache", ignore_errors=True)


@pytest.mark.parametrize(
    "words",
    [
        "train segmenter ARCHIVE --structure disc --size 32 --steps 2 --output OUT",
        "train sites ARCHIVE --structure disc --first N --size 32 --steps 2 --output OUT",
        "subsets ARCHIVE MODEL -k 2",
        "evaluate MODEL ARCHIVE",
        "analyze NEW --archive ARCHIVE --model MODEL --adapt similar --application organs --output OUT",
        "analyze --all --archive ARCHIVE --model MODEL --adapt none --application organs",
    ],
)
def test_commands_read_what_is_in_the_bucket(
    words: str, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CASEWISE_CACHE_BYTES", "1")  # each copy leaves as soon as nobody holds it
    new = write(tmp_path / "new.png", Image(disc(50, 32)[0][None], header=Header(spacing_known=False)))
    places = {"ARCHIVE": discs, "MODEL": segmenter().save(tmp_path / "model"), "NEW": new, "OUT": tmp_path / "out"}

    assert main([str(places.get(word, word)) for word in words.split()] + ["--device", "cpu"]) == 0, capfd.readouterr().err
    assert any((discs / "cache").rglob("*.png"))


def test_an_image_is_not_similar_to_itself_though_no_copy_of_it_is_left(bucket: Bucket, tmp_path: Path) -> None:
    ct(tmp_path / "given" / "ct", 3)
    paired(tmp_path / "given", 3)
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        archive.import_paths([tmp_path / "given"], copy=True, encoder=MeanEncoder())
        for case in archive.cases():
            image = case.image
            empty(tmp_path / "a")
            assert archive.keys_of(image) == {case.key}
            assert case.key not in {one.key for one in archive.similar(image, k=4, encoder=MeanEncoder())}


def test_a_mask_goes_to_its_image_though_no_copy_of_it_is_left(
    discs: Path,
) -> None:
    preparation = Preparation(2, (48, 48))
    model = Model.initial("drawing", Spec("segmentation", {"kind": "prompt_unet", "channels": [4, 8, 8]}, preparation, (DISC,)))
    with Archive.open(discs) as archive:
        case = archive.cases()[0]
        session = InteractiveSegmentation(model, case.image, mask=case.load_masks["disc"]())
        empty(discs)

        assert accept(archive, session, "drawn") == case.key
        assert len(archive) == 12
        assert np.array_equal(archive.case(case.key).load_masks["drawn"](), session.mask)


def test_a_series_of_more_files_than_are_held_and_more_bytes_than_are_kept(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct(tmp_path / "given", 80, rows=16, columns=16)
    monkeypatch.setenv("CASEWISE_CACHE_BYTES", "1")
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        archive.import_paths([tmp_path / "given"], copy=True)
        empty(tmp_path / "a")

        assert archive.cases()[0].image.spatial_shape == (16, 16, 80)


def test_a_name_that_no_object_can_have_is_named(bucket: Bucket, tmp_path: Path) -> None:
    files = ct(tmp_path / "given" / "ct", 3).files
    files[1].rename(files[1].with_name(os.fsdecode(b"bad_\xff.dcm")))
    paired(tmp_path / "given", 1)
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        report = archive.import_paths([tmp_path / "given"], copy=True)

        assert report.added == 1
        assert [r"bad_\xff.dcm has a name that no object can have" in one.reason for one in report.failed] == [True]


def test_storage_that_is_away_ranks_nothing(discs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Archive.open(discs) as archive:
        image = archive.cases()[0].image
        monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
        with pytest.raises(UnreadableImageError, match="No credentials"):
            archive.similar(image, k=3, encoder=MeanEncoder())


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_rank_nothing(name: str, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Archive.open(discs) as archive:
        image = archive.cases()[0].image
        archive.import_paths([_case(tmp_path / "near", 40)], encoder=MeanEncoder())  # it has a vector, and could be found
        monkeypatch.setenv("CASEWISE_CACHE", str(tmp_path / "no copies"))
        monkeypatch.setenv(name, "wrong")
        with pytest.raises(UnreadableImageError, match="refuses the credentials"):
            archive.similar(image, k=3, encoder=MeanEncoder())


def test_images_that_may_not_be_read_are_counted_with_the_reason(
    server: S3, discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number in range(40, 48):  # as many as a report displays
        _case(tmp_path / "near", number)
    with Archive.open(discs) as archive:
        count = len(archive)
        archive.import_paths([tmp_path / "near"])
    model = segmenter().save(tmp_path / "model")
    monkeypatch.setenv("CASEWISE_CACHE", str(tmp_path / "no copies"))
    for name, value in server.variables("READER", "reads").items():
        monkeypatch.setenv(name, value)
    new = _case(tmp_path / "new", 48)
    assert main(["similar", str(discs), str(new), "--device", "cpu"]) == 0
    said = capfd.readouterr().out
    assert f"{count} of the archive's images cannot be read or encoded" in said
    assert "may not be read with these credentials" in said
    words = ["--model", str(model), "--adapt", "none", "--application", "organs", "--device", "cpu", "--json"]
    assert main(["analyze", str(new), "--archive", str(discs), "--output", str(tmp_path / "out"), *words]) == 0
    (result,) = json.loads(capfd.readouterr().out)
    (note,) = [note for note in result["notes"] if "cannot be read" in note]
    assert note.startswith(f"{count} of the archive's images") and "s3://" not in note


def test_a_full_disk_loses_what_nobody_holds_and_then_is_named(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "copies", 1 << 30, "server")
    old = cache.get(Address("bucket", "old"), lambda part: part.write_bytes(bytes(90)))

    def fill(part: Path) -> None:
        if old.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part.write_bytes(b"new")

    with pytest.raises(Exception, match="free some space, or name another folder in CASEWISE_CACHE"):
        cache.get(Address("bucket", "new"), fill)
    let_go()
    assert cache.get(Address("bucket", "new"), fill).read_bytes() == b"new"


def test_a_worker_keeps_copies_where_its_own_machine_says(tmp_path: Path) -> None:
    enter = f"""
import os
from casewise.workers.working import Surroundings
Surroundings({str(tmp_path)!r}, {{"CASEWISE_CACHE": "callers", "CASEWISE_CACHE_BYTES": "7", "CASEWISE_DEBUG": "1"}}).enter()
print(*(os.environ[name] for name in ("CASEWISE_CACHE", "CASEWISE_CACHE_BYTES", "CASEWISE_DEBUG")))
"""
    environment = {**os.environ, "CASEWISE_CACHE": "own", "CASEWISE_DEBUG": "0"}
    environment.pop("CASEWISE_CACHE_BYTES", None)
    done = subprocess.run(
        [sys.executable, "-c", enter], env=environment, capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert done.stdout.split() == ["own", "7", "1"]
