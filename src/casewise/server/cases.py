"""Cases as the pages display them: names without folders, masks, what is known of an image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.facts import content_of
from casewise.archive.nameless import display_name
from casewise.archive.storage import named
from casewise.errors import UsageError
from casewise.formats import Kind
from casewise.image import Image
from casewise.json_safe import plain
from casewise.names import legible
from casewise.server.geometry import planes, window
from casewise.server.nameless import without_places
from casewise.server.problems import NotThereError
from casewise.server.schemas.cases import CaseDetail, CaseLine, CasePage, FindingLine, Label
from casewise.server.settings import Settings
from casewise.server.store import Store, assignments, users
from casewise.server.voxels import dtype_sent, is_colour
from casewise.server.worklist import Filters, Row, Worklist
from casewise.wording import base_name

_SAME_SUBJECT = 50
_NAMED_LABEL = ("name", "kind", "origin")


@dataclass(frozen=True, eq=False)
class Cases:
    """The cases of one archive."""

    archive: Archive
    store: Store
    settings: Settings
    worklist: Worklist

    def page(self, filters: Filters, order: str, after: str | None, limit: int) -> CasePage:
        """One page of the worklist; the counts come with the first alone."""
        rows, following, total = self.worklist.page(filters, order, after, limit)
        counts = self.worklist.counts() if after is None else {}
        return CasePage(cases=[self.line(row) for row in rows], next=following, total=total, counts=counts)

    def row(self, key: str) -> Row:
        """Raises NotThereError for a key that the archive does not have."""
        found = self.worklist.rows([key])
        if not found:
            raise NotThereError(f"The archive has no case {key[:40]!r}; the worklist lists those that it has.")
        return found[0]

    def name(self, row: Row) -> str:
        return display_name(row.name, row.kind, row.key, self.settings.show_names)

    def names(self, keys: list[str]) -> dict[str, str]:
        """Key → name, of those that the archive has."""
        return {row.key: self.name(row) for row in self.worklist.rows(keys)}

    def line(self, row: Row) -> CaseLine:
        return CaseLine(**self._line(row))

    def detail(self, row: Row, image: Image) -> CaseDetail:
        """With what is needed to display the image, which the caller read."""
        header = image.header
        return CaseDetail(
            **self._line(row),
            channels=_channels(image),
            dtype=dtype_sent(image.array.dtype),
            window=window(image),
            planes=planes(image),
            bytes=int(image.array.nbytes),
            unit=header.unit,
            spacing_known=header.spacing_known,
            orientation_known=header.orientation_known,
            loop=image.is_loop,
            frame_times=list(header.frame_times),
            labels=self.labels(row.key),
            facts=_facts(row, image),
            notes=[legible(note) for note in header.notes],
            same_subject=self.worklist.same_subject(row.key, _SAME_SUBJECT),
        )

    def labels(self, key: str) -> list[Label]:
        """The image's masks, boxes and scribbles, without the places of their files."""
        found = self.archive.labels(key)
        return [Label.model_validate(plain({name: one[name] for name in _NAMED_LABEL})) for one in found]

    def assign(self, key: str, user: str | None, state: str) -> None:
        """Give a case to a person, or mark it as read; ``user`` None and ``open`` takes the assignment away."""
        with self.store.write() as connection:
            connection.execute(sa.delete(assignments).where(assignments.c.image_key == key))
            if user is not None:
                values = {"image_key": key, "user": user, "state": state, "changed": time.time()}
                connection.execute(sa.insert(assignments).values(**values))

    def check_person(self, name: str, asking: str) -> None:
        """Raises UsageError for somebody whom the server does not know."""
        with self.store.read() as connection:
            known = connection.scalar(sa.select(users.c.name).where(users.c.name == name, users.c.disabled.is_(False)))
        if known is None and name != asking:
            raise UsageError(f"There is no person called {name[:40]!r} here; assign the case to one of the server's users.")

    def without_places(self, sentence: str, row: Row | None) -> str:
        """An error's sentence with the image's displayed name in place of its file's, whose folders and name may name a patient;
        other images of the archive likewise.
        """
        if row is not None:
            place = str(named(self.archive.folder, row.path))
            files = self.archive.images([row.key])[0].files if row.kind == Kind.DICOM.value else ()
            for own in (*(f"{place}/{name}" for name in files), place, row.path, row.name, base_name(row.name)):
                sentence = sentence.replace(own, self.name(row))
        return without_places(self.archive, self.store, sentence, self.settings.show_names)

    def _line(self, row: Row) -> dict[str, Any]:
        study_date = row.content.get("study_date")
        return {
            "key": row.key,
            "name": self.name(row),
            "category": row.category,
            "site": row.site,
            "modality": row.modality,
            "study_date": study_date if isinstance(study_date, str) else None,
            "shape": list(row.shape),
            "structures": list(row.structures),
            "headline": row.headline,
            "findings": [FindingLine.model_validate(plain(one)) for one in row.findings],
            "state": row.state,
            "assigned": row.assigned,
            "added": row.id,
            "ohif": row.kind == Kind.DICOM.value and self.settings.ohif_files is not None,
        }


def _facts(row: Row, image: Image) -> dict[str, object]:
    """The header's values and what the catalogue knows beside; neither holds a patient's name."""
    about: Mapping[str, object] = {**content_of(image), **image.header.to_json(), **row.content}
    hidden = ("notes", "source", "frame_times")
    found = plain({name: value for name, value in about.items() if name not in hidden})
    return found if isinstance(found, dict) else {}


def _channels(image: Image) -> list[str]:
    if is_colour(image):
        return ["red", "green", "blue"]
    return list(image.header.sequences) or [f"channel {number + 1}" for number in range(image.channels)]
