"""Applications that behave, and applications that do not."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np

from casewise.applications import chest_regions
from casewise.applications.declared import Declared, PythonRun
from casewise.chest import Regions
from casewise.confinement.protections import protections
from casewise.errors import CasewiseError
from casewise.finding import Finding, SegmentPicture
from casewise.formats import write, write_mask
from casewise.image import Box, Image


class Bright:
    """Says how bright an image is, and how many it has seen in this process."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.seen, self.ident = factor, 0, float(uuid.uuid4().int % 2**50)

    def analyze(self, image: Image) -> list[Finding]:
        self.seen += 1
        mean = self.factor * float(image.array.mean())
        category = str(image.header.category)
        return [Finding("x", "brightness", region=category, measures={"mean": mean, "seen": self.seen, "made": self.ident})]


class Masks:
    def analyze(self, image: Image) -> list[Finding]:
        mask = image.array[0] > image.array.mean()
        return [Finding("x", "bright", 0.5, box=Box.around(mask), mask=write_mask("deep/bright.png", mask, image))]


class Segmented:
    """Finds something in a segment, whose picture it writes, of the segment's shape or another."""

    def __init__(self, cut: int = 0) -> None:
        self.cut = cut

    def analyze(self, image: Image) -> list[Finding]:
        box = Box((2, 3), (12, 18))
        path = write(Path("segment.png"), image.crop(Box((2 + self.cut, 3), (12, 18))))
        segment = SegmentPicture("left lung", box, 1.0, path)
        return [Finding("x", "nodule", 0.5, box=Box((4, 5), (7, 9)), measures={"segment": 2.0}, segment=segment)]


class WrongGrid:
    def analyze(self, image: Image) -> list[Finding]:
        other = Image(image.array[:, :5, :5], image.affine, image.header)
        return [Finding("x", "bright", mask=write_mask("bright.png", other.array[0] > 0, other))]


class Sleeps:
    def __init__(self, tag: str = "sleeper") -> None:
        self.tag = tag

    def analyze(self, image: Image) -> list[Finding]:
        subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); time.sleep(600)", self.tag])
        time.sleep(600)
        return []


class Raises:
    def analyze(self, image: Image) -> list[Finding]:
        raise RuntimeError("the network\nhas 3 channels")


class Eats:
    def analyze(self, image: Image) -> list[Finding]:
        held = []
        while True:
            held.append(np.ones(4_000_000))
            time.sleep(0.02)


class Exits:
    def analyze(self, image: Image) -> list[Finding]:
        os._exit(7)


class Segfaults:
    def analyze(self, image: Image) -> list[Finding]:
        os.kill(os.getpid(), 11)
        return []


class Prints:
    """Says so much that a pipe nobody reads would fill."""

    def analyze(self, image: Image) -> list[Finding]:
        sys.stdout.write("chatter\n" * 200_000)
        os.write(1, b"more chatter\n")
        return []


class Garbage:
    """Answers with the rubbish that the image's file is named after."""

    def analyze(self, image: Image) -> list[Finding]:
        answers: dict[str, object] = {
            "picture": [Finding("x", "a", box=Box((0, 0), (2, 2))), 3],
            "none": None,
            "words": ["finding"],
            "label": [Finding("x", 3)],  # type: ignore[arg-type]
            "nan": [Finding("x", "a", float("nan"))],
            "probability": [Finding("x", "a", 1.5)],
            "measure": [Finding("x", "a", measures={"volume_ml": float("inf")})],
            "nan box": [Finding("x", "a", box=Box((float("nan"), 0), (2, 2)))],  # type: ignore[arg-type]
            "far box": [Finding("x", "a", box=Box((0, 0), (9, 9999)))],
            "thick box": [Finding("x", "a", box=Box((0, 0, 0), (2, 2, 2)))],
            "unwritten": [Finding("x", "a", mask=Path("mask.png"))],
            "outside": [Finding("x", "a", mask=Path("../../../mask.png"))],
            "absolute": [Finding("x", "a", map=Path("/etc/hostname"))],
            "object": [Finding("x", "a", region=object())],  # type: ignore[arg-type]
        }
        assert image.source is not None
        return answers[image.source.stem.replace("-", " ")]  # type: ignore[return-value]


class Links:
    def analyze(self, image: Image) -> list[Finding]:
        Path("mask.png").symlink_to(image.source or "/etc/hostname")
        return [Finding("x", "a", mask=Path("mask.png"))]


class WritesOutside:
    def __init__(self, path: str) -> None:
        self.path = path

    def analyze(self, image: Image) -> list[Finding]:
        Path(self.path).write_text("was here")
        return []


class Overwrites:
    """Changes the voxels that it was given."""

    def analyze(self, image: Image) -> list[Finding]:
        image.array[:] = 0
        return []


def slow_start() -> Bright:
    time.sleep(600)
    return Bright()


made = Bright()
not_an_application = 3
confined = protections().writes


class Sharing:
    """Starts from a chest's regions, which it does not look at: tells how often this process has outlined any."""

    def __init__(self, outcome: str = "") -> None:
        self._outcome = outcome

    def analyze(self, image: Image) -> list[Finding]:
        chest_regions.regions = _counted  # in this process alone
        chest_regions.chest_regions(image, "cpu")
        if self._outcome == "dies":
            os._exit(3)
        if self._outcome == "hangs":
            time.sleep(600)
        if self._outcome == "eats":
            held = []
            while True:
                held.append(np.ones(4_000_000))
                time.sleep(0.02)
        if self._outcome == "refuses":
            raise CasewiseError("the image is upside down")
        if self._outcome == "raises":
            raise RuntimeError("the network has 3 channels")
        mask = write_mask("mask.png", image.array[0] > 0, image)
        return [Finding("x", "bright", mask=mask, measures={"outlined": len(_outlined), "process": _PROCESS})]


_outlined: list[Image] = []
_PROCESS = float(uuid.uuid4().int % 2**50)  # its number says nothing: in a namespace of its own each may be the second


def _counted(image: Image, device: str) -> Regions:
    _outlined.append(image)
    return Regions({})


class Secrets:
    """Names the variables that hold a secret."""

    def analyze(self, image: Image) -> list[Finding]:
        names = [name for name, value in os.environ.items() if value == "s3cr3t"]
        return [Finding("x", name) for name in names or ["none"]]


class Forger:
    """Answers in the worker's own place, and ends the worker before it can."""

    def __init__(self, how: str, victim: str) -> None:
        self.how, self.victim = how, Path(victim)

    def analyze(self, image: Image) -> list[Finding]:
        task = Path.cwd().parent
        answer = task / "answer.json"
        document = '{"findings": [], "notes": []}'
        if self.how == "rubbish":
            answer.write_text('{"findings": {"a": 3}, "notes": 4}')
        elif self.how == "deep":
            answer.write_text('{"findings": [], "notes": [' + "[" * 5000 + "]" * 5000 + "]}")
        elif self.how == "pipe":
            os.mkfifo(answer)
        elif self.how == "link":
            answer.write_text(document)
            (task / "out").rename(task / "old")
            (task / "out").symlink_to(self.victim.parent)
        else:
            answer.write_text(document.replace("[]", f'[{{"label": "a", "mask": "{self.victim}"}}]', 1))
        os.write(_pipe(), b".")
        time.sleep(5)
        os._exit(0)


def _pipe() -> int:
    """The descriptor by which the worker says that its answer is there."""
    for number in range(3, 20):
        try:
            if (
                str(Path(f"/proc/self/fd/{number}").readlink()).startswith("pipe:")
                and (fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE) == os.O_WRONLY
            ):
                return number
        except OSError:
            continue
    return 1


liar = Declared("liar", ("*",), ("f",), PythonRun("tests.applications.isolated.behaviours:Bright"), own=True)
