"""A case: an image with its labels and where it came from. Models are trained on cases; archives hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Array, Image
from casewise.names import same_structure


class MaskLoaders(Mapping[str, Callable[[], npt.NDArray[np.bool_]]]):
    """Masks by the names they were given, found under every spelling of these (``Right Ventricle``, ``right_ventricle``)."""

    def __init__(self, loaders: Mapping[str, Callable[[], npt.NDArray[np.bool_]]]) -> None:
        self._loaders = dict(loaders)
        self._alike = {same_structure(name): name for name in reversed(self._loaders)}

    def __getitem__(self, name: str) -> Callable[[], npt.NDArray[np.bool_]]:
        return self._loaders[name] if name in self._loaders else self._loaders[self._alike[same_structure(name)]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._loaders or same_structure(name) in self._alike)


@dataclass(frozen=True)
class Structure:
    """What a segmenter is trained to find: a name, and the archive's mask names whose union it is.

    ``Structure.parse("lungs=left_lung+right_lung+lung")`` is the union of those of the three that a case has;
    ``Structure.parse("heart")`` is the mask of that name.
    """

    name: str
    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Structure:
        name, _, parts = text.partition("=")
        names = tuple(part.strip() for part in (parts or name).split("+"))
        if not name.strip() or not all(names):
            msg = f"A structure is NAME or NAME=PART+PART…; got {text!r}."
            raise CasewiseError(msg)
        return cls(name.strip(), names)

    def __str__(self) -> str:
        return self.name if self.parts == (self.name,) else f"{self.name}={'+'.join(self.parts)}"


@dataclass(frozen=True, eq=False)
class Case:
    """An image, its labels and its origin; image and masks are read when first asked for (each time: nothing is kept here).

    key : content hash of the image (hex), the identity by which models remember what they were trained on.
    load_image : returns the image.
    load_masks : mask name → function returning a boolean array (*spatial) on the image's grid.
    category : class of the whole image, if known.
    subject : who it is of (pseudonymous); cases of one subject never stand on both sides of a split.
    content : what is known beside the pixels (age, sex, modality, sequence, scanner, pathology, …), for content similarity.
    """

    key: str
    load_image: Callable[[], Image]
    load_masks: Mapping[str, Callable[[], npt.NDArray[np.bool_]]] = field(default_factory=dict)
    category: str | None = None
    subject: str | None = None
    site: str | None = None
    content: Mapping[str, object] = field(default_factory=dict)
    name: str = ""

    @property
    def image(self) -> Image:
        return self.load_image()

    def has(self, structure: Structure) -> bool:
        """Whether at least one of the structure's parts is labelled in this case."""
        return any(part in self.load_masks for part in structure.parts)

    def label_map(self, structures: Sequence[Structure]) -> npt.NDArray[np.uint8]:
        """(*spatial) with 0 for background and n for the n-th structure (from 1); later structures win where two meet."""
        labels: npt.NDArray[np.uint8] | None = None
        for number, structure in enumerate(structures, start=1):
            for part in structure.parts:
                if part in self.load_masks:
                    mask = self.load_masks[part]()
                    labels = np.zeros(mask.shape, np.uint8) if labels is None else labels
                    labels[mask] = number
        if labels is None:
            wanted = ", ".join(str(structure) for structure in structures)
            msg = f"Case {self.name or self.key[:12]} has no mask for {wanted}; it has: {', '.join(self.load_masks) or 'none'}."
            raise CasewiseError(msg)
        return labels

    @classmethod
    def of(cls, image: Image, masks: Mapping[str, Array] | None = None, **origin: str | None) -> Case:
        """A case held in memory; its key is the hash of its pixels and geometry. ``origin``: category, subject, site, name."""
        from casewise.hashing import image_key

        loaders = {name: _constant(np.greater(mask, 0)) for name, mask in (masks or {}).items()}
        return cls(
            key=image_key(image),
            load_image=lambda: image,
            load_masks=MaskLoaders(loaders),
            category=origin.get("category"),
            subject=origin.get("subject"),
            site=origin.get("site"),
            name=origin.get("name") or "",
            content=image.header.to_json(),
        )


def _constant(mask: npt.NDArray[np.bool_]) -> Callable[[], npt.NDArray[np.bool_]]:
    return lambda: mask
