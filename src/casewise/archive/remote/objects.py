"""Objects of S3 storage: listed, brought and put whole or not at all. Where it is, and with which credentials: AWS's variables."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from casewise.archive.remote.address import Address
from casewise.archive.remote.sentences import MISSING, ObjectError, ObjectMissingError, damaged, translated
from casewise.errors import UsageError

_SUM = "casewise-sha256"  # a key of an object's metadata
_MD5 = re.compile(r"[0-9a-f]{32}")
_TRIES = 4
_CHUNK = 1 << 20
_SECONDS = {"connect_timeout": 10, "read_timeout": 60}


@dataclass(frozen=True)
class Stored:
    """What storage says of an object. ``modified_ns``: when it was written. ``etag``: of its content, the MD5 of many objects.
    ``sha256``: of those that casewise has put there, where it was asked for.
    """

    address: Address
    size: int
    modified_ns: int
    etag: str
    sha256: str | None = None
    encrypted: bool = False


def listed(place: Address) -> Iterator[Stored]:
    """Every object below ``place``, or the one that is called so; what stands for a folder is none."""
    any_there = False
    for item in _pages(place, f"{place.key}/" if place.key else ""):
        any_there = True
        if not item.address.key.endswith("/"):
            yield item
    if not any_there and place.key and (one := about(place)) is not None:
        yield one


def about(address: Address) -> Stored | None:
    """What storage says of one object; None where there is none."""
    try:
        with translated(address, "read"):
            head = _system().call_s3("head_object", Bucket=address.bucket, Key=address.key)
    except ObjectMissingError:
        return None
    except ObjectError:
        # The answer has no words. One that has says whether it is this object that is refused, or the credentials for all.
        with translated(address, "read"):
            _system().call_s3("get_object", Bucket=address.bucket, Key=address.key, Range="bytes=0-0")
        raise
    encrypted = bool(head.get("SSECustomerAlgorithm")) or "kms" in str(head.get("ServerSideEncryption", ""))
    sha256 = (head.get("Metadata") or {}).get(_SUM)
    return _stored(address, head["ContentLength"], head, sha256, encrypted)


def bring(address: Address, target: Path, expected: Stored | None = None) -> Stored:
    """Write an object to ``target``, which is new; its time of change is the object's.

    A connection that breaks is tried again, from where it broke. What came is compared with what storage says of the object: its
    size, and its SHA-256 or MD5 where that is known. expected : as it was listed, if it was.
    Raises RemoteError, ObjectError.
    """
    found = expected or _there(address)
    with translated(address, "read"):
        _system().get_file(f"{address.bucket}/{address.key}", str(target))
    if not _same(target, found):
        found = _there(address)  # replaced meanwhile, or its checksum is not of its content
        if not _same(target, found):
            raise ObjectError(damaged(address))
    os.utime(target, ns=(found.modified_ns, found.modified_ns))
    return found


def put(source: Path, address: Address) -> None:
    """Write a file into storage, unless the same content is there. Raises RemoteError, ObjectError."""
    size, sha256 = source.stat().st_size, _digest(source, "sha256")
    if _holds(about(address), size, sha256):
        return
    with translated(address, "written"):
        _system().put_file(str(source), f"{address.bucket}/{address.key}", Metadata={_SUM: sha256})
    if not _holds(about(address), size, sha256):
        raise ObjectError(damaged(address))


def check(place: Address) -> None:
    """Raise RemoteError or ObjectError where a bucket cannot be listed."""
    with translated(place, "listed"):
        _system().call_s3("list_objects_v2", Bucket=place.bucket, Prefix=f"{place.key}/" if place.key else "", MaxKeys=1)


def _pages(place: Address, prefix: str) -> Iterator[Stored]:
    more: dict[str, str] = {}
    while True:
        with translated(place, "listed"):
            page = _system().call_s3("list_objects_v2", Bucket=place.bucket, Prefix=prefix, **more)
        for item in page.get("Contents", ()):
            yield _stored(Address(place.bucket, item["Key"]), item["Size"], item)
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _stored(address: Address, size: int, item: Any, sha256: str | None = None, encrypted: bool = False) -> Stored:
    modified = int(item["LastModified"].timestamp()) * 10**9
    return Stored(address, int(size), modified, str(item["ETag"]).strip('"'), sha256, encrypted)


def _there(address: Address) -> Stored:
    found = about(address)
    if found is None:
        raise ObjectMissingError(f"{address} is not in object storage; put it back, or correct the address.")
    return found


def _same(file: Path, found: Stored) -> bool:
    """Whether a file is what storage says of an object, as far as it says."""
    if file.stat().st_size != found.size:
        return False
    if found.sha256 is not None:
        return _digest(file, "sha256") == found.sha256
    # That of an object that came in parts, or is encrypted with a key of its own, is no MD5 of its content.
    return found.encrypted or not _MD5.fullmatch(found.etag) or _digest(file, "md5") == found.etag


def _holds(found: Stored | None, size: int, sha256: str) -> bool:
    return found is not None and found.size == size and found.sha256 == sha256


def _digest(file: Path, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _system() -> Any:
    """The file system for S3 of fsspec, one a process: a connection is not shared with a parent that was forked."""
    variables = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _system_of(os.getpid(), variables)


@lru_cache(maxsize=4)
def _system_of(_process: int, _variables: tuple[tuple[str, str], ...]) -> Any:
    try:
        import s3fs
    except ModuleNotFoundError as error:
        raise UsageError(MISSING) from error
    config = {**_SECONDS, "retries": {"max_attempts": 2, "mode": "standard"}}  # each of ours
    system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs=config)
    system.retries = _TRIES
    return system
