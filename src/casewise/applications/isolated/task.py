"""What a worker hands to whatever runs its application: one image, as a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from casewise.image import Image


@dataclass(frozen=True)
class Task:
    """One image for the application.

    folder : private to this task. source, member : the image's file. array : its voxels, as a .npy file, with ``affine`` and
    ``header``; None where the application does not ask for them. ident : a name for a container.
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

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Task:
        """From the JSON that the parent sent."""
        paths = {key: Path(document[key]) for key in ("folder", "source", "array") if document[key]}
        return cls(**{**document, **paths, "grid": tuple(document["grid"])})

    @property
    def out(self) -> Path:
        """Where the application writes."""
        return self.folder / "out"

    def image(self) -> Image:
        """The image, its voxels mapped so that changes stay in this process; zeros on its grid where no voxels were given."""
        import numpy as np

        from casewise.header import Header
        from casewise.image import Image

        if self.array is not None:
            return mapped(self.array, self.affine, self.header, self.category, self.source)
        nothing = np.broadcast_to(np.uint8(0), (1, *self.grid))
        return Image(nothing, np.asarray(self.affine), replace(Header.from_json(self.header), category=self.category), self.source)


class Runs(Protocol):
    """One way to run an application: gives (findings, not yet checked; notes)."""

    def __call__(self, task: Task) -> tuple[list[object], list[str]]: ...


def mapped(array: Path, affine: Sequence[Sequence[float]], header: Mapping[str, object], category: str, source: Path) -> Image:
    """An image whose voxels lie in a .npy file, mapped so that changes stay in this process."""
    import numpy as np

    from casewise.header import Header
    from casewise.image import Image

    voxels = np.load(array, mmap_mode="c", allow_pickle=False)
    return Image(voxels, np.asarray(affine), replace(Header.from_json(header), category=category), source)
