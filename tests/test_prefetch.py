"""Images read and routed ahead of who needs them, in another process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from casewise.errors import CasewiseError
from casewise.prefetch import LoadedImage, prefetch
from casewise.routing.router import Router
from casewise.threads import one_thread


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        Pillow.fromarray(np.full((20, 30), number, np.uint8)).save(path)
    return paths


@pytest.mark.parametrize("ahead", [False, True])
def test_images_come_in_order_and_a_broken_one_is_named(pictures: list[Path], ahead: bool) -> None:
    pictures[3].write_bytes(b"no picture")
    found = list(prefetch(pictures, None, ahead=ahead))
    assert [path for path, _ in found] == pictures
    assert [isinstance(loaded, CasewiseError) for _, loaded in found] == [number == 3 for number in range(12)]
    for number, (path, loaded) in enumerate(found):
        if isinstance(loaded, LoadedImage):
            assert loaded.image.array.max() == number
            assert loaded.image.source == path
            assert loaded.route is None
            assert set(loaded.seconds) == {"read"}


def test_another_process_routes_as_this_one_does(pictures: list[Path]) -> None:
    router = Router.load()
    here, there = (list(prefetch(pictures[:3], router, ahead=ahead)) for ahead in (False, True))
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert isinstance(one, LoadedImage)
        assert isinstance(other, LoadedImage)
        assert one.route is not None
        assert one.route.to_json() == other.route.to_json()  # type: ignore[union-attr]
        assert one.image.header == other.image.header


def test_a_killed_process_costs_the_image_that_it_read_and_no_other(pictures: list[Path]) -> None:
    found = []
    for path, loaded in prefetch(pictures, None, ahead=True):
        found.append((path, loaded))
        if len(found) == 2:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
    assert [path for path, _ in found] == pictures
    lost = [str(loaded) for _, loaded in found if isinstance(loaded, CasewiseError)]
    assert len(lost) <= 1
    assert all("ended the process that read it" in reason for reason in lost)


def test_nothing_is_left_when_the_caller_stops(pictures: list[Path]) -> None:
    loaded = prefetch(pictures, None, ahead=True)
    next(loaded)
    loaded.close()
    assert not multiprocessing.active_children()


def test_nothing_outlives_a_killed_caller(pictures: list[Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import multiprocessing, os, signal, sys\n"
        "from pathlib import Path\n"
        "from casewise.prefetch import prefetch\n"
        "if __name__ == '__main__':\n"
        "    loaded = prefetch([Path(p) for p in sys.argv[1:]], None, ahead=True)\n"
        "    next(loaded)\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, program, *map(str, pictures)], stdout=subprocess.PIPE, text=True, check=False)
    (child,) = map(int, done.stdout.split())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("The process that read ahead went on after its caller was killed.")


def test_threads_are_given_back() -> None:
    import torch

    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), one_thread():
        assert torch.get_num_threads() == 1
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == before
