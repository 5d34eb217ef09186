"""What DICOMweb gives of an archive: instances, and the attributes of studies, series and instances that a search answers with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Annotated

from fastapi import Depends, Request

from casewise.archive import Archive
from casewise.exchange.quiet import silence
from casewise.formats.dicom.json_model import Json
from casewise.server.dicom.instances import Instance, Instances
from casewise.server.dicomweb.headers import ROOT, Headers, address, first
from casewise.server.dicomweb.hiding import Hiding
from casewise.server.dicomweb.query import Query
from casewise.server.problems import NotThereError
from casewise.server.settings import Settings
from casewise.server.store import Store

_SECONDS = 5.0  # that a search spends on images that are new here
_LOOKED_AT = 2000  # studies whose headers are read for one search
_PAGE = 100
_KEPT = 100_000
_STUDY, _SERIES, _SOP, _PATIENT = "0020000D", "0020000E", "00080018", "00100020"
_SHARED = ("00080005", "00080201", _STUDY, "00081190")
_OF_STUDY = (
    *("00080020", "00080030", "00080050", "00080061", "00080090", "00081030", "00100010", _PATIENT, "00100030", "00100040"),
    *("00200010", "00201206", "00201208", "00080056"),
)
_OF_SERIES = ("00080060", "0008103E", _SERIES, "00200011", "00201209", "00080021", "00080031", "00180015", "00400244", "00400245")
_OF_INSTANCE = ("00080016", _SOP, "00080056", _SERIES, "00200013", "00280010", "00280011", "00280100", "00280008")


@dataclass(frozen=True)
class Found:
    """The answer to a search. whole : whether everything was looked at."""

    models: list[Json]
    whole: bool = True


class Holdings:
    """The DICOM of one archive as it is given to viewers."""

    def __init__(self, archive: Archive, store: Store, settings: Settings) -> None:
        silence()  # what pydicom says of a damaged header quotes its values
        self.instances = Instances(archive, store)
        self.hiding = Hiding(names=not settings.show_names)
        self.headers = Headers(self.hiding)
        self._subjects: dict[str, str | None] = {}

    def given(self, study: str, series: str | None = None, sop: str | None = None) -> list[Instance]:
        """Instances of a study, a series, or one. Raises NotThereError where there is none."""
        found = self._find(study, series, sop)
        if not found and not self.instances.update(_SECONDS):
            raise NotThereError("The archive's images are still being looked through for this study; ask again in a moment.")
        found = found or self._find(study, series, sop)
        if not found:
            raise NotThereError(f"The archive has no DICOM instances of {sop or series or study}.")
        return found

    def subject(self, instance: Instance) -> str | None:
        """The pseudonym of whom an instance is of, where names are hidden; None where it is not known."""
        key = instance.image_key
        if key is None or not self.hiding.names:
            return None
        if key not in self._subjects:
            if len(self._subjects) > _KEPT:
                self._subjects.clear()
            self._subjects |= self.instances.subjects([key])
        return self._subjects.get(key)

    def text(self, instance: Instance) -> bytes:
        """The header as JSON. Raises NotThereError where the file has gone."""
        return self.headers.text(instance, self.subject(instance))

    def studies(self, query: Query) -> Found:
        """Newest first."""
        whole = self.instances.update(_SECONDS)
        looked = _Counted(self._studies(query), _LOOKED_AT)
        matching = (model for uid in looked for model in self._study(uid) if query.accepts(model))
        models = list(islice(matching, query.offset, query.offset + query.limit))
        return Found([query.chosen(one, (*_SHARED, *_OF_STUDY)) for one in models], whole and not looked.cut)

    def series(self, study: str, query: Query) -> Found:
        """By their numbers."""
        every = [self._series(list(group)) for _, group in groupby(self.given(study), lambda one: one.series_uid)]
        models = sorted((one for one in every if one is not None and query.accepts(one)), key=lambda one: _number(one, "00200011"))
        part = models[query.offset : query.offset + query.limit]
        return Found([query.chosen(one, (*_SHARED, *_OF_SERIES)) for one in part])

    def found(self, study: str, series: str | None, query: Query) -> Found:
        """The instances of a study or of a series, by their numbers."""
        every = [(one, self._model(one)) for one in self.given(study, series)]
        chosen = [_with(model, address(one)) for one, model in every if model is not None and query.accepts(model)]
        chosen.sort(key=lambda one: (str(first(one, _SERIES)), _number(one, "00200013")))
        part = chosen[query.offset : query.offset + query.limit]
        return Found([query.chosen(one, (*_SHARED, *_OF_INSTANCE)) for one in part])

    def _find(self, study: str, series: str | None, sop: str | None) -> list[Instance]:
        return [one for one in self.instances.find(study, series, sop) if self.hiding.is_given(one.sop_class, one.made)]

    def _studies(self, query: Query) -> Iterator[str]:
        """Studies that can match; more of them are asked for while they are used."""
        named = query.uids(_STUDY)
        if named is not None:
            yield from dict.fromkeys(named)
            return
        patient = query.matches.get(_PATIENT)
        plain = patient is not None and self.hiding.names and not any(sign in patient for sign in "*?")
        keys = self.instances.keys_of_subject(patient) if plain and patient is not None else None
        offset = 0
        while part := self.instances.studies(offset, _PAGE, keys):
            yield from (study.uid for study in part)
            offset += len(part)

    def _study(self, uid: str) -> list[Json]:
        """The attributes of a study; none where no file of it can be read."""
        series = [list(group) for _, group in groupby(self._find(uid, None, None), lambda one: one.series_uid)]
        heads = [head for group in series if (head := self._head(group)) is not None]
        if not heads:
            return []
        modalities = sorted({str(said) for head in heads if (said := first(head, "00080060"))})
        counts = {"00201206": [len(series)], "00201208": [sum(map(len, series))]}
        return [
            {
                **heads[0],
                "00080056": {"vr": "CS", "Value": ["ONLINE"]},
                "00080061": {"vr": "CS", "Value": modalities},
                "00081190": {"vr": "UR", "Value": [f"{ROOT}/studies/{uid}"]},
                **{tag: {"vr": "IS", "Value": value} for tag, value in counts.items()},
            }
        ]

    def _series(self, group: list[Instance]) -> Json | None:
        head = self._head(group)
        if head is None:
            return None
        one = group[0]
        where = f"{ROOT}/studies/{one.study_uid}/series/{one.series_uid}"
        count = {"vr": "IS", "Value": [len(group)]}
        return {**head, "00081190": {"vr": "UR", "Value": [where]}, "00201209": count}

    def _head(self, group: list[Instance]) -> Json | None:
        """The header of the first instance whose file can be read."""
        return next((model for one in group if (model := self._model(one)) is not None), None)

    def _model(self, instance: Instance) -> Json | None:
        try:
            return self.headers.model(instance, self.subject(instance))
        except NotThereError:
            return None


def _of(request: Request) -> Holdings:
    found: Holdings = request.app.state.dicomweb
    return found


Held = Annotated[Holdings, Depends(_of)]


class _Counted:
    """An iterator over at most so many; ``cut`` : whether there would have been more."""

    def __init__(self, items: Iterator[str], most: int) -> None:
        self._items, self._left, self.cut = items, most, False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        item = next(self._items)
        if not self._left:
            self.cut = True
            raise StopIteration
        self._left -= 1
        return item


def _with(model: Json, where: str) -> Json:
    return {**model, "00081190": {"vr": "UR", "Value": [where]}, "00080056": {"vr": "CS", "Value": ["ONLINE"]}}


def _number(model: Json, tag: str) -> float:
    value = first(model, tag)
    return float(value) if isinstance(value, int | float) else float("inf")
