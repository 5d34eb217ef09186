"""Images that clients keep here for a while, under a session's id: Slicer's own volumes, which the archive does not hold.

In ``ARCHIVE/server/uploads/ID/``, so that a client's session outlives a restart of the server. Uploads that wait for their import
lie in the same folder (see ``casewise.server.spool``), under ids of another form, and are none of ours.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from casewise.errors import UsageError
from casewise.image import Image
from casewise.server.compat.monailabel.forms import bare_name
from casewise.server.problems import NotThereError

_FOLDER = Path("server") / "uploads"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ABOUT, _FILES = "about.json", "files"
EXPIRY = 12 * 3600  # seconds without a call; Slicer cannot begin a session anew after its own has gone
_LONGEST = 7 * 24 * 3600
_UNFINISHED = 24 * 3600  # seconds after which what nothing is written about was given up, and is not being unpacked
_MOST_FILES = 20_000


@dataclass(frozen=True)
class Upload:
    """owner : who sent it. image : the name of its file, of several the first. expiry : seconds after ``last_access_ts``."""

    name: str
    owner: str
    image: str
    create_ts: int
    last_access_ts: int
    expiry: int

    @property
    def expired(self) -> bool:
        return self.last_access_ts + self.expiry <= time.time()

    def to_json(self) -> dict[str, object]:
        """As clients get it; where its files lie is the server's own business."""
        return {**{name: value for name, value in asdict(self).items() if name != "owner"}, "path": "", "meta": {}}


class Uploads:
    """The uploads of one archive. ``folder``: the archive's. ``most``: bytes of one upload, unpacked."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder / _FOLDER, most

    def add(self, owner: str, save: Callable[[Path], list[Path]], expiry: int = 0, unpack: bool = False) -> Upload:
        """Keep what ``save`` writes into the folder that it is given. unpack : a zip file's members instead of it.

        Raises UsageError or UnreadableImageError, one sentence, for what is no image.
        """
        name = str(uuid.uuid4())
        place = self._folder / name
        (place / _FILES).mkdir(parents=True)
        try:
            saved = save(place / _FILES)
            if unpack:
                saved = [file for archive in saved for file in self._unpacked(archive)]
            if not saved:
                raise UsageError("A session is made with an image, and the call has no part called files; add one.")
            now = int(time.time())
            upload = Upload(name, owner, saved[0].name, now, now, min(expiry, _LONGEST) if expiry > 0 else EXPIRY)
            self._write(upload)
            self.read(upload)
            return upload
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    def get(self, name: str, owner: str, touch: bool = True) -> Upload | None:
        """The upload of this name, if it is this person's and has not expired."""
        upload = self._load(name)
        if upload is None or upload.owner != owner:
            return None
        if touch:
            upload = replace(upload, last_access_ts=int(time.time()))
            try:
                self._write(upload)
            except FileNotFoundError:  # removed by another call just now
                return None
        return upload

    def remove(self, upload: Upload) -> None:
        shutil.rmtree(self._folder / upload.name, ignore_errors=True)

    def over(self, name: str, seen: float) -> bool:
        """Whether what was made of a client's image has no image any more. name : of an upload; an image that comes with each call
        bears another, and counts as an upload that was last used at ``seen``.
        """
        if _ID.fullmatch(name) is None:
            return seen + EXPIRY <= time.time()
        return not (self._folder / name).is_dir()

    def sweep(self, unfinished: float = _UNFINISHED) -> None:
        """Remove what has expired. unfinished : seconds after which what nothing is written about is removed too."""
        for place in self._folder.iterdir() if self._folder.is_dir() else ():
            if _ID.fullmatch(place.name) and self._over(place, unfinished):
                shutil.rmtree(place, ignore_errors=True)

    def files(self, upload: Upload) -> list[Path]:
        """Raises NotThereError where another call has removed them meanwhile."""
        try:
            return sorted((self._folder / upload.name / _FILES).iterdir())
        except FileNotFoundError as error:
            raise NotThereError("This session has ended meanwhile; load the image again to begin another.") from error

    def read(self, upload: Upload) -> Image:
        """Its image. Raises UnreadableImageError, one sentence, that names no folder."""
        from casewise.formats import read

        files = self.files(upload)
        return read(files[0] if len(files) == 1 else files[0].parent)

    def _load(self, name: str) -> Upload | None:
        upload = self._written(name) if _ID.fullmatch(name) else None
        return None if upload is None or upload.expired else upload

    def _written(self, name: str) -> Upload | None:
        try:
            return Upload(**json.loads((self._folder / name / _ABOUT).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, upload: Upload) -> None:
        from casewise.files import replacing

        with replacing(self._folder / upload.name / _ABOUT) as beside:
            beside.write_text(json.dumps(asdict(upload)), encoding="utf-8")

    def _over(self, place: Path, unfinished: float) -> bool:
        upload = self._written(place.name)
        if upload is not None:
            return upload.expired
        try:
            return time.time() - place.stat().st_mtime > unfinished
        except FileNotFoundError:  # removed by another call just now
            return False

    def _unpacked(self, archive: Path) -> list[Path]:
        """The files of a zip, each under its bare name; the zip is removed."""
        try:
            with zipfile.ZipFile(archive) as packed:
                members = [member for member in packed.infolist() if not member.is_dir()]
                if len(members) > _MOST_FILES or sum(member.file_size for member in members) > self._most:
                    msg = f"The zip holds more than {_MOST_FILES} files or {self._most >> 20} MiB; send a smaller one."
                    raise UsageError(msg)
                written = [self._extract(packed, member, archive.parent, number) for number, member in enumerate(members)]
        except Exception as error:  # whatever zipfile and the libraries that unpack raise for a damaged file
            if isinstance(error, UsageError) or (isinstance(error, OSError) and error.errno is not None):  # the disk's
                raise
            raise UsageError(f"{archive.name} cannot be unpacked as a zip: {error}.") from error
        archive.unlink()
        return written

    def _extract(self, packed: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, number: int) -> Path:
        target = folder / f"{number:05}_{bare_name(member.filename)}"
        with packed.open(member) as source, target.open("wb") as written:
            left = member.file_size  # what the zip's index says, which was counted above; a member may hold more
            while chunk := source.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise UsageError(f"{bare_name(member.filename)} is larger than the zip says; pack it again.")
                written.write(chunk)
        return target
