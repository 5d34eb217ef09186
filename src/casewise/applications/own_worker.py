"""The process in which casewise's own applications run, one after the other: they share what they compute of an image in memory.

Requests come as lines of JSON on stdin, one application's work on one image each; the answer goes back as a line of JSON. The
applications, the models that they load and the last image stay in memory for the next request. What concerns this process and
its parent together stands in :mod:`casewise.applications.own_process`.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from casewise.allocation import keep_freed
from casewise.applications.isolated.python import analyzed, loaded
from casewise.applications.isolated.serving import Requests, dumped, guarded
from casewise.applications.isolated.task import mapped
from casewise.applications.refusal import UNKNOWN, NotMeasuredError
from casewise.image import Image

END = b"\n"
# What most of the applications need: torch, SciPy, scikit-image and what is imported with them.
_SLOW = ("casewise.models.model", "casewise.formats", "casewise.chest", "casewise.routing.features", "skimage.measure")


@dataclass(frozen=True)
class Picture:
    """An image's voxels as a .npy file, with what else belongs to it.

    regions : those of a chest radiograph that the caller has already: :func:`casewise.chest.region_codec.packed`, in base 64.
    """

    array: str
    affine: list[list[float]]
    header: dict[str, Any]
    category: str
    source: str
    regions: str | None = None

    def image(self) -> Image:
        """The image, its regions kept for the applications that start from them."""
        image = mapped(Path(self.array), self.affine, self.header, self.category, Path(self.source))
        if self.regions is not None:
            from casewise.applications.chest_regions import keep
            from casewise.chest.region_codec import unpacked

            keep(image, unpacked(base64.b64decode(self.regions)))
        return image


@dataclass(frozen=True)
class Request:
    """One application's work on an image. out : the folder that it writes in. picture : None for the image of the last request."""

    name: str
    target: str
    settings: dict[str, Any]
    out: str
    picture: Picture | None


class _Applications:
    """Those that were asked for, the image at hand, and the folder of the last answer, which nobody needs any more."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._image: Image | None = None
        self._former: str | None = None

    def answer(self, request: Request) -> Mapping[str, object]:
        if self._former is not None:
            shutil.rmtree(self._former, ignore_errors=True)
        self._former = request.out
        os.chdir(request.out)
        if request.picture is not None:
            self._image = None  # before the next one is mapped
            self._image = request.picture.image()
        if request.name not in self._loaded:
            self._loaded[request.name] = loaded(request.target, request.settings)
        if self._image is None:
            raise ValueError("the first request has no picture")
        try:
            findings, notes = analyzed(self._loaded[request.name], self._image)
        except NotMeasuredError as reason:
            if self._image.header.category in (None, UNKNOWN):  # nobody routed it: who named the application is to know
                raise
            return {"findings": [], "notes": [str(reason)]}
        return {"findings": findings, "notes": notes}


def main() -> None:
    """Serve until stdin ends."""
    _serve(Requests())


def main_ahead() -> None:
    """The same in a process that is started before there is an image: it imports first what takes seconds."""
    requests = Requests()
    for name in _SLOW:
        importlib.import_module(name)
    _serve(requests)


def _serve(requests: Requests) -> None:
    keep_freed()
    applications = _Applications()
    while True:
        request = msgspec.convert(json.loads(requests.next()), Request)
        answer = memoryview(dumped(guarded(lambda: applications.answer(request))) + END)  # noqa: B023 called here
        while answer:
            answer = answer[os.write(requests.answers, answer) :]
