"""A case: an image with its labels and where it came from. Models are trained on cases; archives hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from casewise.errors import CasewiseError
from casewise.image import Array, Box, Image
from casewise.label_map import LabelMap
from casewise.names import same_structure

UNNAMED = "image"  # the one sequence of pictures and volumes of which nothing says what they are


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
    """An image of one or several sequences, its labels and its origin; they are read when asked for (each time: nothing is kept).

    key : content hash of the image (hex), the identity by which models record what they were trained on.
    load_image : returns the image; of several sequences, on one grid, a channel each.
    load_masks : mask name → function returning a boolean array (*spatial) on the image's grid.
    category : class of the whole image, if known.
    subject : who it is of (pseudonymous); cases of one subject never stand on both sides of a split.
    content : what is known beside the pixels (age, sex, modality, sequence, scanner, pathology, …), for content similarity.
    channels : of the image. sequences : what they are (``FLAIR``, ``T1``); ``image`` where nothing says it.
    keys : content hashes of the images that they come from, ``key`` among them.
    load_sequences : what :meth:`loaded` gives, where image and masks are made together.
    boxes : structure → boxes of the image in which one is each; of a name that is missing nothing is known.
    """

    key: str
    load_image: Callable[[], Image]
    load_masks: Mapping[str, Callable[[], npt.NDArray[np.bool_]]] = field(default_factory=dict)
    category: str | None = None
    subject: str | None = None
    site: str | None = None
    content: Mapping[str, object] = field(default_factory=dict)
    name: str = ""
    sequences: tuple[str, ...] = (UNNAMED,)
    keys: tuple[str, ...] = ()
    load_sequences: Callable[[Sequence[str]], tuple[Image, LabelMap]] | None = None
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    channels: int = 1

    def __post_init__(self) -> None:
        if not self.keys:
            object.__setattr__(self, "keys", (self.key,))

    @property
    def image(self) -> Image:
        return self.load_image()

    def loaded(self, sequences: Sequence[str]) -> tuple[Image, LabelMap]:
        """(the image (sequences, *spatial) float32, one that the case has not 0 and in ``header.absent``; its masks)."""
        if self.load_sequences is not None:
            return self.load_sequences(sequences)
        image = self.image
        return chosen(image, self.sequences, sequences), LabelMap.like(
            {name: load() for name, load in self.load_masks.items()}, image
        )

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
    def examined(
        cls,
        load: Callable[[Sequence[str]], tuple[Image, LabelMap]],
        sequences: Sequence[str],
        keys: Sequence[str],
        structures: Sequence[str],
        **origin: str | None,
    ) -> Case:
        """An examination of several sequences. load : as :meth:`loaded`. keys : of its images. structures : names of its masks.

        ``origin``: category, subject, site, name.
        """
        own = tuple(sequences)
        return cls(
            key=keys[0],
            load_image=lambda: load(own)[0],
            load_masks=MaskLoaders({name: lambda name=name: load(own)[1][name] for name in structures}),  # type: ignore[misc]
            category=origin.get("category"),
            subject=origin.get("subject"),
            site=origin.get("site"),
            name=origin.get("name") or "",
            sequences=own,
            keys=tuple(keys),
            load_sequences=load,
            channels=len(own),
        )

    @classmethod
    def of(
        cls,
        image: Image,
        masks: Mapping[str, Array] | None = None,
        boxes: Mapping[str, Sequence[Box]] | None = None,
        **origin: str | None,
    ) -> Case:
        """A case held in memory; its key is the hash of its pixels and geometry. ``origin``: category, subject, site, name.

        An image of several sequences names them in ``header.sequences``. Raises CasewiseError where a mask is on another grid.
        """
        from casewise.hashing import image_key

        sequences, name = image.header.sequences or (UNNAMED,), origin.get("name") or ""
        if image.header.sequences and len(sequences) != image.channels:
            msg = f"The image has {image.channels} channels and its header names {len(sequences)} sequences; name each."
            raise CasewiseError(msg)
        for structure, mask in (masks or {}).items():
            check_grid(mask, image, name or structure)
        loaders = {name: _constant(np.greater(mask, 0)) for name, mask in (masks or {}).items()}
        return cls(
            key=image_key(image),
            load_image=lambda: image,
            load_masks=MaskLoaders(loaders),
            category=origin.get("category"),
            subject=origin.get("subject"),
            site=origin.get("site"),
            name=name,
            sequences=sequences,
            content=image.header.to_json(),
            boxes={structure: tuple(several) for structure, several in (boxes or {}).items()},
            channels=image.channels,
        )


def chosen(image: Image, own: Sequence[str], wanted: Sequence[str]) -> Image:
    """(wanted, *spatial) float32 of an image whose channels are ``own``; a missing one is 0 and in ``header.absent``."""
    if image.channels != len(own):
        raise CasewiseError(f"The image has {image.channels} channels and its header names {len(own)} sequences; name each.")
    nothing = np.zeros(image.spatial_shape, np.float32)
    parts = [image.array[list(own).index(name)].astype(np.float32) if name in own else nothing for name in wanted]
    absent = tuple(name for name in wanted if name not in own)
    return Image(np.stack(parts), image.affine, replace(image.header, sequences=tuple(wanted), absent=absent), image.source)


def check_grid(mask: Array, image: Image, name: str) -> None:
    """Raises CasewiseError for a mask (*spatial) of another shape than its image; ``name``: of the case."""
    if tuple(mask.shape) != image.spatial_shape:
        msg = f"The mask of {name} has the shape {tuple(mask.shape)} and its image {image.spatial_shape}; bring it onto its grid."
        raise CasewiseError(msg)


def _constant(mask: npt.NDArray[np.bool_]) -> Callable[[], npt.NDArray[np.bool_]]:
    return lambda: mask
