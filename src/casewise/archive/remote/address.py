"""Addresses of objects, ``s3://bucket/key``, and the local names of the copies that are kept of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from casewise.errors import UsageError

SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_LONGEST_NAME = 255  # bytes, of file systems
_LONGEST_KEY = 1024  # bytes, of S3


def is_remote(text: str) -> bool:
    return text.startswith(SCHEME)


@dataclass(frozen=True, order=True)
class Address:
    """An object, or all whose keys begin with ``key`` and a slash. ``key`` is empty for a whole bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}" if self.key else f"{SCHEME}{self.bucket}"

    def __truediv__(self, more: str) -> Address:
        return Address(self.bucket, f"{self.key}/{more}" if self.key else more)

    def is_below(self, other: Address) -> bool:
        """Whether it is another address, or lies in what that one names."""
        return self.bucket == other.bucket and (self == other or not other.key or self.key.startswith(f"{other.key}/"))

    def beside(self, name: str) -> Address:
        """The object of this name in the same folder."""
        folder, slash, _ = self.key.rpartition("/")
        return Address(self.bucket, f"{folder}{slash}{name}")

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises UsageError for what is no address."""
        bucket, _, key = text.removeprefix(SCHEME).partition("/")
        if not is_remote(text) or not _BUCKET.fullmatch(bucket):
            msg = f"{text[:100]!r} is no address in object storage; it looks like s3://bucket/folder."
            raise UsageError(msg)
        return cls(bucket, key.rstrip("/"))

    def below(self, root: Path) -> Path | None:
        """The file below a folder that holds this object's copy; None where the key can be no such name.

        Two keys never share a file, and none leads out of the folder.
        """
        parts = self.key.split("/")
        if len(self.key.encode("utf-8", "replace")) > _LONGEST_KEY or not all(_is_name(part) for part in parts):
            return None
        return root.joinpath(self.bucket, *parts)

    @classmethod
    def of_copy(cls, path: Path, root: Path) -> Address | None:
        """Whose copy a file is; None where it lies elsewhere."""
        if not path.is_relative_to(root):
            return None
        bucket, *parts = path.relative_to(root).parts or ("",)
        return cls(bucket, "/".join(parts))


def _is_name(part: str) -> bool:
    """Whether it is a file's name on every system that matters: nothing that means another folder, or the end of a name."""
    if part in ("", ".", "..") or any(sign in part for sign in ("\0", "\\")):
        return False
    try:
        return len(part.encode()) <= _LONGEST_NAME
    except UnicodeEncodeError:
        return False
