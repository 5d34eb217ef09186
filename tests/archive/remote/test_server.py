"""The server of an archive whose files are objects: pages, masks and DICOMweb."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from casewise.archive import Archive
from tests.dicom_studies import ct
from tests.image_trees import paired
from tests.s3 import Bucket

pytest.importorskip("fastapi")

from casewise.server.app import create_app
from casewise.server.jobs import Jobs
from casewise.server.settings import Settings
from casewise.server.store import Store
from casewise.server.worker import Worker
from tests.server.people import signed_in


@pytest.mark.parametrize("copy", [True, False])
def test_pages_and_dicomweb_read_objects(copy: bool, bucket: Bucket, tmp_path: Path) -> None:
    scan = ct(tmp_path / "all" / "ct", 3)
    paired(tmp_path / "all" / "films", 1)
    bucket.fill(tmp_path / "all", "all")
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        archive.import_paths([bucket.url("all")], copy=copy)
        shutil.rmtree(tmp_path / "a" / "cache")
        store = Store.open(archive.folder)
        try:
            client = signed_in(create_app(archive, store), "reader", "rita")
            film = next(record.key for record in archive.images() if record.kind == "PNG")
            voxels = client.get(f"/api/v1/cases/{film}/voxels")
            assert voxels.status_code == 200
            assert np.array_equal(np.frombuffer(voxels.content, np.uint8), archive.case(film).image.array[0].ravel())
            assert client.get(f"/api/v1/cases/{film}/masks/lung").status_code == 200
            assert client.get(f"/api/v1/cases/{film}").status_code == 200

            study = client.get("/dicomweb/studies").json()
            assert [one["0020000D"]["Value"] for one in study] == [[scan.study_uid]]
            found = client.get(f"/dicomweb/studies/{scan.study_uid}/series/{scan.series_uid}/instances").json()
            assert len(found) == len(scan.files)
            shutil.rmtree(tmp_path / "a" / "cache")
            whole = client.get(
                f"/dicomweb/studies/{scan.study_uid}", headers={"Accept": 'multipart/related; type="application/dicom"'}
            )
            assert whole.status_code == 200
            assert whole.content.count(b"DICM") == len(scan.files)
        finally:
            store.close()


def test_a_job_analyses_objects(bucket: Bucket, tmp_path: Path) -> None:
    ct(tmp_path / "all" / "ct", 3)
    paired(tmp_path / "all" / "films", 1)
    with Archive.open(tmp_path / "a", create=True, storage=bucket.url("store")) as archive:
        archive.import_paths([tmp_path / "all"], copy=True)
        shutil.rmtree(tmp_path / "all")
        shutil.rmtree(tmp_path / "a" / "cache", ignore_errors=True)
        keys = [record.key for record in archive.images()]
        store = Store.open(archive.folder)
        try:
            Jobs(store).add("analyse", {"cases": keys, "application": "quality"})
            assert Worker(archive, store, Settings()).run(once=True) == {"done": 1}
        finally:
            store.close()
        assert all(archive.newest_result(key) is not None for key in keys)
