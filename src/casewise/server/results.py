"""Results as the case page displays them, and what people think of their findings."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from casewise.archive import Archive
from casewise.archive.storage import located
from casewise.finding import FINDING, MEASURE, QUALITY, Finding
from casewise.formats import read_mask
from casewise.image import Box, Image
from casewise.server.problems import ConflictError, NotThereError
from casewise.server.schemas.results import FindingDetail, ModelAnswer, NotFound, ResultDetail, VerdictLine, VerdictOrder
from casewise.server.store import Store, verdicts
from casewise.summary import spoken
from casewise.wording import measure, score

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Opinions:
    """How often people disagree with one application about one label; of each person and finding the newest verdict counts."""

    application: str
    label: str
    agree: int
    disagree: int


@dataclass(frozen=True, eq=False)
class Results:
    """The results of one archive."""

    archive: Archive
    store: Store

    def detail(self, key: str) -> ResultDetail:
        """The newest result of a case that the archive has. Raises NotThereError for one that was never analysed."""
        number, data, earlier = self._newest(key)
        verdicts_of = self._verdicts(key, number)
        entries = list(enumerate(_entries(data, "findings")))
        report = f"/api/v1/results/{key}/report" if data.get("report") else None
        details = [_detail(n, one, verdicts_of.get(n, []), report) for n, one in entries]
        lines = {kind: [one for one in details if one.kind == kind] for kind in _KINDS}
        route, summary = _entry(data, "route"), _entry(data, "summary")
        return ResultDetail(
            id=str(number),
            key=key,
            created=_number(data.get("created")),
            headline=str(data.get("headline") or ""),
            category=_text(route.get("category")),
            category_probability=_number(route.get("probability")),
            findings=sorted(lines[FINDING], key=lambda one: -1.0 if one.probability is None else -1.0 - one.probability),
            not_found=[_not_found(one) for one in _entries(data, "looked_for") if not one.get("found")],
            not_looked_for=str(summary.get("not_looked_for") or ""),
            measures=lines[MEASURE],
            quality=lines[QUALITY],
            failed=[{name: str(value) for name, value in one.items()} for one in _entries(summary, "failed")],
            model=_model(_entry(data, "model"), summary),
            applications=[str(one.get("application")) for one in _entries(data, "applications")],
            notes=[str(note) for note in data.get("notes") or ()],
            seconds={name: float(value) for name, value in _entry(data, "seconds").items() if _number(value) is not None},
            report=report,
            earlier=earlier,
        )

    def mask(self, key: str, name: str, image: Image) -> npt.NDArray[np.bool_]:
        """(*spatial) bool: the mask of a finding, by its number. Raises NotThereError where there is none."""
        _, data, _ = self._newest(key)
        found = _entries(data, "findings")
        path = found[int(name)].get("mask") if name.isascii() and name.isdecimal() and int(name) < len(found) else None
        if not isinstance(path, str) or not (place := located(self.archive.folder, path)).is_file():
            raise NotThereError(f"The newest result of this case has no mask called {name[:40]!r}.")
        return read_mask(place, image)

    def report(self, key: str) -> Path:
        """The report of the newest result. Raises NotThereError where it has none."""
        _, data, _ = self._newest(key)
        path = data.get("report")
        if not isinstance(path, str) or not (place := located(self.archive.folder, path)).is_file():
            raise NotThereError("The newest result of this case has no report; analyse the case again for one.")
        return place

    def give_verdict(self, key: str, order: VerdictOrder, person: str) -> list[VerdictLine]:
        """Keep a person's opinion of a finding of the newest result; returns all on that finding, the newest of each person.

        Raises ConflictError where the case was analysed again since, NotThereError for a finding that it has not.
        """
        number, data, _ = self._newest(key)
        if order.result != str(number):
            raise ConflictError("The case was analysed again since; look at the new result.")
        found = _entries(data, "findings")
        if order.finding >= len(found):
            raise NotThereError(f"The result has {len(found)} findings; there is no finding {order.finding}, counted from 0.")
        one = found[order.finding]
        about = {"application": str(one.get("application")), "label": str(one.get("label")), "user": person, "created": time.time()}
        given = {"result": str(number), "finding": order.finding, "agree": order.agree, "note": order.note.replace("\x00", "")}
        with self.store.write() as connection:
            connection.execute(sa.insert(verdicts).values(image_key=key, **given, **about))
        return self._verdicts(key, number)[order.finding]

    def verdict_rows(self) -> Iterator[Any]:
        """All verdicts, in the order in which they were given."""
        with self.store.read() as connection:
            yield from connection.execute(sa.select(verdicts).order_by(verdicts.c.id))

    def opinions(self) -> list[Opinions]:
        """By application and label, most disagreed with first."""
        same = (verdicts.c.user, verdicts.c.image_key, verdicts.c.result, verdicts.c.finding)
        newest = sa.select(sa.func.max(verdicts.c.id)).group_by(*same)
        yes = sa.func.sum(sa.case((verdicts.c.agree, 1), else_=0))
        no = sa.func.sum(sa.case((verdicts.c.agree, 0), else_=1))
        of = (verdicts.c.application, verdicts.c.label)
        query = sa.select(*of, yes, no).where(verdicts.c.id.in_(newest)).group_by(*of).order_by(no.desc(), *of)
        with self.store.read() as connection:
            return [Opinions(str(a), str(b), int(agree), int(disagree)) for a, b, agree, disagree in connection.execute(query)]

    def _newest(self, key: str) -> tuple[int, Data, int]:
        found = self.archive.newest_result(key)
        if found is None:
            raise NotThereError("This case was not analysed yet.")
        return found

    def _verdicts(self, key: str, number: int) -> dict[int, list[VerdictLine]]:
        """Finding → opinions, the newest of each person."""
        mine = (verdicts.c.image_key == key, verdicts.c.result == str(number))
        newest: dict[tuple[int, str], VerdictLine] = {}
        with self.store.read() as connection:
            for row in connection.execute(sa.select(verdicts).where(*mine).order_by(verdicts.c.id)):
                line = VerdictLine(user=row.user, agree=row.agree, note=row.note, created=row.created)
                newest[row.finding, row.user] = line
        lines: dict[int, list[VerdictLine]] = {}
        for (finding, _), line in newest.items():
            lines.setdefault(finding, []).append(line)
        return lines


_KINDS = (FINDING, MEASURE, QUALITY)


def _detail(number: int, one: Data, given: Sequence[VerdictLine], report: str | None) -> FindingDetail:
    box = _box(one.get("box"))
    finding = Finding(
        str(one.get("application")), str(one.get("label")), _number(one.get("probability")), _text(one.get("region")), box
    )
    measures = {name: float(value) for name, value in _entry(one, "measures").items() if _number(value) is not None}
    place = one.get("place")
    return FindingDetail(
        number=number,
        application=finding.application,
        label=finding.label,
        kind=_kind(one),
        probability=finding.probability,
        region=finding.region,
        sentence=_sentence(finding, measures),
        measures=measures,
        box=None if box is None else [(low, high) for low, high in box.to_json()],
        place=[int(n) for n in place] if isinstance(place, list) else None,
        mask=str(number) if one.get("mask") else None,
        segment=f"{report}#finding-{number}" if report and _entry(one, "segment") else None,
        verdicts=list(given),
    )


def _sentence(finding: Finding, measures: Mapping[str, float]) -> str:
    """``Nodule, right lung, 0.81; diameter 12 mm``."""
    values = [f"{name.lower()} {value}" for name, value in (measure(name, value) for name, value in measures.items())]
    return "; ".join([spoken(finding), *([", ".join(values)] if values else [])])


def _not_found(one: Data) -> NotFound:
    value, application = _number(one.get("score")), str(one.get("application"))
    label = str(one.get("label")).replace("_", " ")
    figure = "" if value is None else f", score {score(value)}"
    sentence = f"{label[:1].upper()}{label[1:]}: looked for by {application} and not found{figure}."
    return NotFound(label=str(one.get("label")), application=application, score=value, sentence=sentence)


def _model(one: Data, summary: Data) -> ModelAnswer:
    figures = ({name: float(value) for name, value in _entry(one, when).items()} for when in ("before", "after"))
    before, after = figures
    return ModelAnswer(
        name=str(one.get("name") or "none"),
        parent=_text(one.get("parent")),
        method=str(one.get("method") or "none"),
        reason=str(one.get("reason") or ""),
        sentence=str(summary.get("model") or ""),
        refined_on=[str(name) for name in one.get("refined_on") or ()],
        before=before,
        after=after,
    )


def _kind(one: Data) -> str:
    return str(one.get("kind", FINDING))


def _box(pairs: object) -> Box | None:
    if not isinstance(pairs, list) or not pairs:
        return None
    return Box(tuple(int(low) for low, _ in pairs), tuple(int(high) for _, high in pairs))


def _entries(data: Data, name: str) -> list[Data]:
    given = data.get(name)
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def _entry(data: Data, name: str) -> Data:
    given = data.get(name)
    return given if isinstance(given, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
