"""A server of object storage for all tests here, and a bucket for each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.s3 import NAME, S3, Bucket, s3_server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def bucket(server: S3, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A part of one, empty, at a server that the environment names with its credentials."""
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    return Bucket(server, NAME, f"part-{next(_numbers)}", server.client())
