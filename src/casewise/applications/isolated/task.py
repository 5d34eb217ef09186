"""What a worker hands to whatever runs its application: one image, as a task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from casewise.image import Image


@dataclass(frozen=True)
class Task:
    """One image for the application.

    folder : private to this task. source, member : the image's file. array : its voxels, as a .npy file, with ``affine`` and
    ``header``; None where the application does not ask for them. ident : a name for a container. shared : where applications
    that trust one another leave what they all need of the image; None for any other.
    """

    folder: Path
    source: Path
    member: str | None
    category: str
    grid: tuple[int, ...]
    array: Path | None
    affine: list[list[float]]
    header: dict[str, object]
    ident: str
    shared: Path | None = None

    @property
    def out(self) -> Path:
        """Where the application writes."""
        return self.folder / "out"

    def image(self) -> Image:
        """The image, its voxels mapped so that changes stay in this process; zeros on its grid where no voxels were given."""
        import numpy as np

        from casewise.header import Header
        from casewise.image import Image

        header = replace(Header.from_json(self.header), category=self.category)
        if self.array is None:
            array = np.broadcast_to(np.uint8(0), (1, *self.grid))
        else:
            array = np.load(self.array, mmap_mode="c", allow_pickle=False)
        return Image(array, np.asarray(self.affine), header, self.source)


class Runs(Protocol):
    """One way to run an application: gives (findings, not yet checked; notes)."""

    def __call__(self, task: Task) -> tuple[list[object], list[str]]: ...
