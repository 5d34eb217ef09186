"""Headers of instances in the DICOM JSON model, kept packed in memory up to a bound, as their files were when they were read."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from typing import Any

import msgspec

from casewise.errors import UnreadableImageError
from casewise.formats.dicom.json_model import Json, json_model
from casewise.formats.dicom.stored import Stored, stored
from casewise.formats.guard import one_sentence
from casewise.server.dicom.instances import Instance
from casewise.server.dicomweb.hiding import Hiding
from casewise.server.problems import NotThereError

ROOT = "/dicomweb"
_BYTES = 64 << 20
_Key = tuple[str, int, int, str | None]


class Headers:
    """hiding : what is replaced in them."""

    def __init__(self, hiding: Hiding, most_bytes: int = _BYTES) -> None:
        self._hiding, self._most = hiding, most_bytes
        self._kept: OrderedDict[_Key, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def model(self, instance: Instance, subject: str | None) -> Json:
        found: Json = msgspec.json.decode(self.text(instance, subject))
        return found

    def text(self, instance: Instance, subject: str | None) -> bytes:
        """The header as JSON; addresses in it begin with ``/dicomweb``. subject : the pseudonym of whom it is of.

        Raises NotThereError where the file has gone, cannot be read, or is another instance by now.
        """
        try:
            stat = instance.path.stat()
        except OSError as error:
            raise NotThereError(gone(instance)) from error
        key = (str(instance.path), stat.st_mtime_ns, stat.st_size, subject)
        with self._lock:
            packed = self._kept.get(key)
            if packed is not None:
                self._kept.move_to_end(key)
        if packed is not None:
            return zlib.decompress(packed)
        text = msgspec.json.encode(self._read(instance, subject))
        self._keep(key, zlib.compress(text, 1))
        return text

    def _keep(self, key: _Key, packed: bytes) -> None:
        with self._lock:
            if key not in self._kept and len(packed) <= self._most // 8:
                self._kept[key] = packed
                self._size += len(packed)
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1])

    def _read(self, instance: Instance, subject: str | None) -> Json:
        try:
            # A header that nothing can be made of counts as a file that cannot be read: it ends no search among others.
            with stored(instance.path) as opened, one_sentence(instance.path, "a DICOM file", quote=False):
                return self._json(opened, instance, subject)
        except UnreadableImageError as error:
            raise NotThereError(gone(instance)) from error

    def _json(self, opened: Stored, instance: Instance, subject: str | None) -> Json:
        header, here = opened.header, address(instance)
        if str(header.get("SOPInstanceUID", "")) != instance.sop_uid:
            raise NotThereError(gone(instance))
        self._hiding.hide(header, subject, made=instance.made)
        found = json_model(header, lambda tag: f"{here}/bulkdata/{tag:08X}")
        found["00083002"] = {"vr": "UI", "Value": [opened.syntax]}  # AvailableTransferSyntaxUID
        if "00080005" in found:
            found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # of the answer, not of the file
        if opened.pixels is not None:
            tag = {"FloatPixelData": "7FE00008", "DoubleFloatPixelData": "7FE00009"}.get(opened.pixels.keyword, "7FE00010")
            found[tag] = {"vr": opened.pixels.vr, "BulkDataURI": f"{here}/bulkdata/{tag}"}
        return found


def address(instance: Instance) -> str:
    """Where an instance lies on this server."""
    return f"{ROOT}/studies/{instance.study_uid}/series/{instance.series_uid}/instances/{instance.sop_uid}"


def gone(instance: Instance) -> str:
    return f"The file of the instance {instance.sop_uid} has gone, has changed, or cannot be read."


def first(model: Json, tag: str) -> Any:
    """The first value of an element; None where it has none."""
    values = model.get(tag, {}).get("Value") or [None]
    return values[0]
