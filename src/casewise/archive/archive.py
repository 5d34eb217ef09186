"""``Archive``: the one door to an archive's images, labels, vectors, models and results."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive import opening, pseudonym_key, recorded
from casewise.archive.adding import Addition
from casewise.archive.catalogue import Catalogue, embeddings, encoders, images, models
from casewise.archive.holdings import Holdings, categories, holdings, mask_names, masked, structures
from casewise.archive.ingest.importing import Import
from casewise.archive.ingest.report import ImportReport
from casewise.archive.label_rows import Masks, Naming, Origin, labels_of, masks_and_boxes
from casewise.archive.leftovers import writing
from casewise.archive.loading import Line, Record, Stored, case_of, record_of
from casewise.archive.named import named
from casewise.archive.originals import Originals
from casewise.archive.retrieval.content import Field
from casewise.archive.retrieval.embedding import Refused, Vectors, VectorWriter, encode, readable, store_of, vectors_key
from casewise.archive.retrieval.image_columns import ImageColumns, Snapshot
from casewise.archive.retrieval.latent import Space
from casewise.archive.retrieval.similar import find_similar
from casewise.archive.retrieval.spaces import Spaces
from casewise.archive.selection import EVERYTHING, Selection
from casewise.case import Case, Structure
from casewise.encoder import Encoder
from casewise.errors import ArchiveError
from casewise.formats.found import Found
from casewise.image import Array, Image
from casewise.progress import Progress, silent
from casewise.result import SimilarCase

_BATCH = 64
_EMBEDDING = "Embedding"
_FEW = 500  # keys that a query names one by one


class Archive:
    """Images with their labels and origin, known by their content.

    An archive is a folder: ``casewise.toml`` (its version, and where its catalogue is), ``catalogue.sqlite``, ``vectors/``,
    ``pseudonyms.key`` (the secret that patients' pseudonyms are made with), and in ``files/`` what was copied or written into it.
    Any number of processes may use it at once. Close it, or use it in ``with``.
    """

    def __init__(self, folder: Path, catalogue: Catalogue) -> None:
        self.folder, self._catalogue = folder, catalogue
        self._originals = Originals(folder, catalogue)
        self._columns, self._spaces, self._refused = ImageColumns(catalogue), Spaces(folder), Refused()

    @classmethod
    def open(
        cls, location: str | os.PathLike[str], *, create: bool = False, database: str | None = None, storage: str | None = None
    ) -> Archive:
        """Open the archive in a folder.

        create : make it if it is not there; then, database : a PostgreSQL URL (``postgresql+psycopg://user@host/name``) for its
        catalogue, without the password (give that in PGPASSWORD or ~/.pgpass), storage : ``s3://bucket/folder`` for its files.
        Raises ArchiveError, one sentence, for a folder that is no archive, one of a newer version, or one that cannot be read.
        An archive that cannot be written is opened for reading.
        """
        folder, catalogue = opening.opened(Path(location), create, database, storage)
        pseudonym_key.prepare(folder, catalogue)
        return cls(folder, catalogue)

    def close(self) -> None:
        self._catalogue.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        with self._catalogue.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(images)) or 0)

    def newest(self) -> int:
        """A number that grows whenever images are added; 0 where there are none."""
        with self._catalogue.read() as connection:
            return int(connection.scalar(sa.select(sa.func.max(images.c.id))) or 0)

    def import_paths(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        manifest: str | os.PathLike[str] | None = None,
        site: str | None = None,
        copy: bool = False,
        encoder: Encoder | None = None,
        progress: Progress = silent,
    ) -> ImportReport:
        """Take in the images below ``paths`` (files, folders, or ``s3://bucket/folder``), their masks, and what is known of them.

        manifest : a CSV table that says what each image is (see docs/how-to/import-your-images.md); it may name images elsewhere.
        site : where all of them are from. copy : copy the files into the archive; otherwise they stay where they are.
        encoder : embed the images too. progress : called with (step, done, total).
        What was imported before and has not changed is not read again; an import that was stopped goes on where it stopped.
        """
        run = Import(self._catalogue, self.folder, site=site, copy=copy, encoder=encoder, progress=progress)
        with writing(self.folder):
            report = run.run(paths, manifest)
        if encoder is not None and report.vectors:
            self.index(encoder, True)
        return report

    def add(
        self,
        image: Image | str | os.PathLike[str],
        masks: Mapping[str, Array | str | os.PathLike[str]] | None = None,
        *,
        category: str | None = None,
        site: str | None = None,
        subject: str | None = None,
        content: Mapping[str, object] | None = None,
        name: str | None = None,
        origin: Mapping[str, object] | None = None,
    ) -> str:
        """Add one image, or what is new about one that is there; returns its key.

        image : in memory (it is written into the archive) or a file. masks : structure → array (*spatial) on the image's grid
        (written into the archive) or a file on that grid; a mask of a name that the image has replaces it.
        origin : how the masks were made (JSON), kept with them.
        """
        addition = Addition(self._catalogue, self.folder)
        facts = {"category": category, "site": site, "subject": subject, "name": name}
        with writing(self.folder):
            return addition.add(image, masks or {}, facts, content or {}, origin)

    def add_masks(
        self, key: str, image: Image, masks: Masks, *, origin: Origin | None = None, names: Naming | None = None
    ) -> list[str]:
        """Keep masks (*spatial) of an image that is here, as :meth:`add` does, without reading the image again.

        image : the one of ``key``, as it was read. origin : of masks that bring none as ``Made``. names : says under which names
        each is kept, given its own and the image's masks (name → label); nobody else writes from then on, and if it raises, nothing
        is kept. Returns the names. Raises ArchiveError for a key that is not in the archive, and for another grid.
        """
        with writing(self.folder):
            return Addition(self._catalogue, self.folder).add_masks(key, image, masks, origin or {}, names)

    def categorise(self, keys: Collection[str], category: str) -> None:
        """Say of which category images are; keys that are not here are passed over."""
        with self._catalogue.write() as connection:
            for key in keys:
                connection.execute(sa.update(images).where(images.c.key == key).values(category=category))

    def images(self, keys: Collection[str] | None = None) -> list[Record]:
        """What the catalogue says of each image (or of those of ``keys``), in the order in which they came."""
        query = sa.select(images).order_by(images.c.id)
        if keys is not None and len(keys) <= _FEW:
            query = query.where(images.c.key.in_(list(keys)))
        with self._catalogue.read() as connection:
            rows = connection.execute(query).all()
        return [record_of(row) for row in rows if keys is None or row.key in keys]

    def named(self, text: str) -> list[Record]:
        """The image of the key ``text``; else those whose file is called so, with or without its suffix."""
        return named(self._catalogue, text)

    def cases(
        self,
        structures: Sequence[Structure | str] = (),
        *,
        category: str | bool | None = None,
        site: str | None = None,
        keys: Collection[str] | None = None,
        where: Selection = EVERYTHING,
    ) -> list[Case]:
        """The archive's images as cases, read when they are asked for; ``Case.key`` is the image's key, ``Case.name`` its file.

        structures : only those that have all of them. category : only those of this category, or True: of any.
        site, keys : only these. where : only what is selected.
        """
        wanted = where.also(structures, keys)
        wanted = replace(wanted, categories=frozenset({category})) if isinstance(category, str) else wanted
        wanted = replace(
            wanted, category_known=wanted.category_known or category is True, site=wanted.site if site is None else site
        )
        query = sa.select(images).order_by(images.c.id)
        with self._catalogue.read() as connection:
            conditions = wanted.conditions(connection)
            if wanted.among is not None and len(wanted.among) <= _FEW:
                conditions.append(images.c.key.in_(sorted(wanted.among)))
            rows = [row for row in connection.execute(query.where(*conditions)) if wanted.has(row.key)]
            labelled = masks_and_boxes(connection, conditions)
        return [case_of(Stored(self.folder, row, self._originals), labelled.get(row.id, [])) for row in rows]

    def count(self, where: Selection = EVERYTHING) -> int:
        """How many images are selected."""
        return len(self._columns.snapshot(where).places)

    def case(self, key: str) -> Case:
        """The case of a key. Raises ArchiveError for one that is not in the archive."""
        found = self.cases(keys={key})
        if not found:
            raise ArchiveError(f"The archive has no image of the key {key}; import it first.")
        return found[0]

    def found(self, key: str) -> Found:
        """Where an image lies, as :func:`casewise.formats.scan` finds it. Raises CasewiseError where it is not, or no more."""
        with self._catalogue.read() as connection:
            row = connection.execute(sa.select(images).where(images.c.key == key)).one_or_none()
        if row is None:
            raise ArchiveError(f"The archive has no image of the key {key}; import it first.")
        return Stored(self.folder, row, self._originals).found

    def labels(self, key: str) -> list[dict[str, object]]:
        """All labels of an image: ``name``, ``kind`` (mask, boxes, scribble), ``path``, ``member``, ``value``, ``boxes``,
        ``origin``.
        """
        with self._catalogue.read() as connection:
            return labels_of(connection, key)

    def keys_of(self, image: Image | str | os.PathLike[str]) -> set[str]:
        """The keys under which the archive knows an image, by its pixels or by its file's content; empty if it does not."""
        return Addition(self._catalogue, self.folder).keys_of(image)

    def embed(self, encoder: Encoder, progress: Progress = silent, *, again: bool = True) -> int:
        """Give a vector to each image that has none of this encoder; returns how many were made. Can be stopped and goes on.

        Images that cannot be read or encoded any more are left without: they are found by nothing but their content. A large
        archive's index for the search is made, or grown, with them. again : whether those of ``without_vector`` are tried too.
        """
        missing, made = self.ids_without_vector(encoder), 0
        if not again and missing and (refused := self._refused.of(encoder)):
            missing = [line.id for line in self.lines(missing) if line.key not in refused]
        if missing:
            progress(_EMBEDDING, 0, len(missing))
        for first in range(0, len(missing), _BATCH):
            made += self.embed_these(encoder, missing[first : first + _BATCH])
            progress(_EMBEDDING, min(first + _BATCH, len(missing)), len(missing))
        self.index(encoder, made > 0)
        return made

    def without_vector(self, encoder: Encoder) -> dict[str, str]:
        """Key → reason of the images that could not be given a vector of this encoder since the archive was opened."""
        return dict(self._refused.of(encoder))

    def embed_these(self, encoder: Encoder, ids: Sequence[int]) -> int:
        """As :meth:`embed`, for the images of these ids in the catalogue, read at once, and without the index."""
        numbers = {line.key: line.id for line in self.lines(ids)}
        images_by_key, unreadable = readable(self.cases(keys=numbers.keys()))
        vectors, refused = encode(encoder, images_by_key)
        self._refused.note(encoder, unreadable | refused, vectors)
        with self._catalogue.write() as connection:
            writer = VectorWriter(self._catalogue, self.folder, encoder)
            return writer.write_of(connection, numbers, vectors)

    def index(self, encoder: Encoder, grown: bool) -> None:
        """Make a large archive's index for the search, or let it grow. grown : whether there are new vectors."""
        query = sa.select(encoders.c.rows).where(encoders.c.key == vectors_key(encoder))
        with self._catalogue.read() as connection:
            given = int(connection.scalar(query) or 0)
        if self._spaces.lacks_index(encoder, given, grown):
            rows = self.snapshot(EVERYTHING, encoder).rows
            self._spaces.index(encoder, rows if rows is not None else np.empty(0, np.int64))

    def snapshot(self, selection: Selection = EVERYTHING, encoder: Encoder | None = None, fields: Sequence[Field] = ()) -> Snapshot:
        """The catalogue's columns as a search ranks them: what is selected, the vectors' rows of an encoder, fields of content."""
        return self._columns.snapshot(selection, vectors_key(encoder) if encoder is not None else None, fields)

    def space(self, encoder: Encoder, snapshot: Snapshot) -> Space:
        """The vectors that a snapshot with this encoder names, prepared for queries."""
        return self._spaces.of(encoder, snapshot.rows if snapshot.rows is not None else np.empty(0, np.int64))

    def lines(self, ids: Sequence[int]) -> list[Line]:
        """Key, name, site and category of the images of the catalogue's ``ids``, in the order in which they came."""
        query = sa.select(images.c.id, images.c.key, images.c.name, images.c.site, images.c.category).order_by(images.c.id)
        parts = [sorted(ids)[first : first + _FEW] for first in range(0, len(ids), _FEW)]
        with self._catalogue.read() as connection:
            return [Line(*row) for part in parts for row in connection.execute(query.where(images.c.id.in_(part)))]

    def ids_without_vector(self, encoder: Encoder) -> list[int]:
        """The catalogue's ids of the images that have no vector of this encoder yet."""
        snapshot = self.snapshot(EVERYTHING, encoder)
        return [] if snapshot.rows is None else [int(number) for number in snapshot.ids[snapshot.rows < 0]]

    def vector_count(self, encoder: Encoder) -> int:
        """How many images have a vector of this encoder."""
        query = sa.select(sa.func.count()).select_from(embeddings).where(embeddings.c.encoder_key == vectors_key(encoder))
        with self._catalogue.read() as connection:
            return int(connection.scalar(query) or 0)

    def vectors(self, encoder: Encoder) -> tuple[list[str], npt.NDArray[np.int64], Vectors]:
        """(keys, rows, base): image ``keys[i]`` has the vector ``base[rows[i]]``; base (n, dimension) is a read-only memory map."""
        query = sa.select(images.c.key, embeddings.c.row).join(images, images.c.id == embeddings.c.image_id)
        with self._catalogue.read() as connection:
            found = connection.execute(
                query.where(embeddings.c.encoder_key == vectors_key(encoder)).order_by(embeddings.c.row)
            ).all()
        rows = np.asarray([row for _, row in found], np.int64)
        return [key for key, _ in found], rows, store_of(self.folder, encoder).rows()

    def vector(self, encoder: Encoder, row: int) -> Vectors:
        """(dimension,): one of this encoder's vectors, by its row."""
        return np.asarray(store_of(self.folder, encoder).rows([row])[0])

    def similar(
        self,
        image: Image,
        *,
        k: int = 8,
        by: Sequence[str] = ("latent", "content"),
        encoder: Encoder | None = None,
        region: npt.NDArray[np.bool_] | None = None,
        exclude: Collection[str] = (),
        structures: Sequence[Structure | str] = (),
        unseen_by: Collection[str] = frozenset(),
        among: Collection[str] | None = None,
        where: Selection = EVERYTHING,
        progress: Progress = silent,
    ) -> list[SimilarCase]:
        """The ``k`` cases most like ``image``, most similar first; the image itself is left out where the archive holds it.

        by : ``latent`` (cosine of an encoder's vectors, the archive's mean taken off), ``content`` (Gower, what is known of both),
        or both: 0.7 × latent + 0.3 × content (latent alone where no content is known to be compared).
        region : (*spatial) bool; what lies in it is compared with what lies at the same place in the cases that are most like the
        image as a whole.
        exclude : keys never to be found. structures : only cases that have them. unseen_by : keys that a model was trained on; only
        others are found. among : only these keys. where : only what is selected.
        progress : called for the images that are given a vector first, and of the regions compared.
        """
        selection = where.also(structures, among).but(exclude, unseen_by)
        return find_similar(self, image, k, tuple(by), encoder, region, selection, progress)

    def holdings(self) -> Holdings:
        """What the archive holds, counted in its catalogue; no image is read."""
        return holdings(self._catalogue, self.models())

    def categories(self) -> dict[str, int]:
        """Category → how many images are of it, in the order of the names."""
        return categories(self._catalogue)

    def structures(self) -> dict[str, int]:
        """Mask's name → how many images have it, in the order of the names."""
        return structures(self._catalogue)

    def mask_names(self) -> dict[str, list[str]]:
        """Key of each image → the names of its masks, in the order in which they came."""
        return mask_names(self._catalogue)

    def masked(self) -> int:
        """How many images have a mask."""
        return masked(self._catalogue)

    def subsets(self) -> list[dict[str, object]]:
        """The precomputed subsets that were made for this archive: ``name``, ``size``, ``model``, ``measures``, ``parent``."""
        return opening.subsets_in(self.folder)

    def add_model(self, key: str, name: str, path: str | os.PathLike[str], data: Mapping[str, object] | None = None) -> None:
        """Store a model that was made from this archive; ``data`` (JSON): what is to be known of it."""
        row = {"key": key, "name": name, "path": os.fspath(path), "data": dict(data or {})}
        with self._catalogue.write() as connection:
            self._catalogue.replace(connection, models, [row])

    def models(self) -> list[dict[str, object]]:
        """The models stored: ``key``, ``name``, ``path``, ``data``."""
        with self._catalogue.read() as connection:
            return [dict(row._mapping) for row in connection.execute(sa.select(models).order_by(models.c.name))]

    def record_result(self, data: Mapping[str, object], image_key: str | None = None) -> int:
        """Keep what an analysis came to (JSON); returns its number."""
        return self.record_results([(data, image_key)])[0]

    def record_results(self, rows: Sequence[recorded.Row]) -> list[int]:
        """Keep several results, (JSON, key of the image or None), in one transaction; returns their numbers."""
        return recorded.record(self._catalogue, rows)

    def results(self, image_key: str | None = None) -> list[dict[str, object]]:
        """What was recorded, of one image or of all, in order."""
        return recorded.recorded(self._catalogue, image_key)

    def keys_without_result(self) -> list[str]:
        """Keys of the images of which no result was recorded, in the order in which they came."""
        return recorded.keys_without(self._catalogue)

    def last_result(self) -> int:
        """The number of the result that was recorded last, of any image: how many ever were; 0 where there is none."""
        return recorded.last(self._catalogue)

    def newest_result(self, image_key: str) -> tuple[int, dict[str, Any], int] | None:
        """(number, what was recorded, how many results of the image are older); None where there is none."""
        return recorded.newest(self._catalogue, image_key)

    def numbered_result(self, image_key: str, number: int) -> dict[str, Any] | None:
        """What was recorded of an image under a number (:meth:`newest_result`); None where there is none."""
        return recorded.numbered(self._catalogue, image_key, number)
