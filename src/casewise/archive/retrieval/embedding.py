"""Vectors of the archive's images in an encoder's latent space: given row numbers, written, and found again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive.catalogue import Catalogue, embeddings, encoders
from casewise.archive.catalogue import images as table
from casewise.archive.retrieval.vectors import VectorStore
from casewise.archive.storage import AwayError
from casewise.case import Case
from casewise.encoder import Encoder
from casewise.errors import ArchiveError, CasewiseError
from casewise.image import Image

Vectors = npt.NDArray[np.float32]
PASSED_OVER = "{count:,} of the archive's images cannot be read or encoded, and how they look was not compared"
_FOLDER = "vectors"
_LAYING = 2  # pictures are encoded as they are displayed; in the first, as they are stored


def vectors_key(encoder: Encoder) -> str:
    """Under which an encoder's vectors are kept: another one wherever images are laid before it in another way than before."""
    return f"{encoder.key}-{_LAYING}"


def store_of(folder: Path, encoder: Encoder) -> VectorStore:
    return VectorStore.open(folder / _FOLDER, vectors_key(encoder), encoder.dimension)


class VectorWriter:
    """Writes vectors inside the catalogue's own transaction: they are on disk before the rows that name them are committed."""

    def __init__(self, catalogue: Catalogue, folder: Path, encoder: Encoder) -> None:
        self._catalogue = catalogue
        self._folder = folder
        self._encoder = encoder

    @cached_property
    def _store(self) -> VectorStore:
        return store_of(self._folder, self._encoder)  # only now: asking an encoder for its dimension may load it

    def write_of(self, connection: sa.Connection, numbers: Mapping[str, int], vectors: Mapping[str, Vectors]) -> int:
        """As :meth:`write`, key → vector, for images that had these ``numbers`` when they were read. One may have gone since,
        and its number be another's: SQLite gives it again.
        """
        query = sa.select(table.c.id, table.c.key).where(table.c.id.in_([numbers[key] for key in vectors]))
        here = {(row.key, row.id) for row in connection.execute(query)}
        return self.write(connection, {numbers[key]: vector for key, vector in vectors.items() if (key, numbers[key]) in here})

    def write(self, connection: sa.Connection, vectors: Mapping[int, Vectors]) -> int:
        """Image id → vector (dimension,); images that have one keep it. Returns how many are new."""
        key = vectors_key(self._encoder)
        mine = embeddings.c.encoder_key == key
        there = set(connection.scalars(sa.select(embeddings.c.image_id).where(mine, embeddings.c.image_id.in_(list(vectors)))))
        new = {number: vector for number, vector in vectors.items() if number not in there}
        if not new:
            return 0
        self._catalogue.insert_new(connection, encoders, [{"key": key, "dimension": self._encoder.dimension, "rows": 0}])
        first = connection.execute(sa.select(encoders.c.rows).where(encoders.c.key == key)).scalar_one()
        self._store.write(first, np.stack(list(new.values())))
        connection.execute(sa.update(encoders).where(encoders.c.key == key).values(rows=first + len(new)))
        rows = [{"encoder_key": key, "image_id": number, "row": first + place} for place, number in enumerate(new)]
        connection.execute(sa.insert(embeddings), rows)
        return len(new)


class Refused:
    """Images that could not be given a vector since an archive was opened, with the reason, by encoder."""

    def __init__(self) -> None:
        self._reasons: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def note(self, encoder: Encoder, reasons: Mapping[str, str], encoded: Collection[str]) -> None:
        mine = self._reasons[vectors_key(encoder)] | dict(reasons)
        self._reasons[vectors_key(encoder)] = {key: reason for key, reason in mine.items() if key not in encoded}

    def of(self, encoder: Encoder) -> dict[str, str]:
        """Key → reason, in the order in which they were tried."""
        return self._reasons[vectors_key(encoder)]


def readable(cases: Iterable[Case]) -> tuple[dict[str, Image], dict[str, str]]:
    """Key → image, and key → reason for those that cannot be read any more. Raises AwayError where none can be read now."""
    images: dict[str, Image] = {}
    reasons: dict[str, str] = {}
    for case in cases:
        try:
            images[case.key] = case.image
        except AwayError:
            raise
        except (CasewiseError, OSError) as error:
            reasons[case.key] = str(error)
    return images, reasons


def encode(encoder: Encoder, images_by_key: Mapping[str, Image]) -> tuple[dict[str, Vectors], dict[str, str]]:
    """Key → vector, and key → reason for the images that the encoder refuses: one of them does not stop the others."""
    keys = list(images_by_key)
    if not keys:
        return {}, {}
    try:
        rows = _finite(encoder.encode([images_by_key[key] for key in keys]))
    except CasewiseError as error:
        if len(keys) == 1:
            return {}, {keys[0]: str(error)}
        vectors: dict[str, Vectors] = {}
        refused: dict[str, str] = {}
        for key in keys:
            one, reason = encode(encoder, {key: images_by_key[key]})
            vectors |= one
            refused |= reason
        return vectors, refused
    return dict(zip(keys, rows, strict=True)), {}


def _finite(rows: Vectors) -> Vectors:
    if not np.isfinite(rows).all():
        msg = "The encoder gave a vector that is not finite: the image holds values that it cannot take (NaN, infinity)."
        raise ArchiveError(msg)
    return np.asarray(rows, np.float32)
