"""What is chosen of a source's studies and series: no prior of another patient, no series without images, every failure named."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from casewise.errors import UsageError
from casewise.exchange.asked import Query
from casewise.exchange.association import AssociationError
from casewise.exchange.found import Patient, Series, SourceError, Study
from casewise.exchange.selection import Plan, Selection, plan

WHO = Patient("P1", "HOSPITAL", "19570321")


@dataclass
class Held:
    """A source in memory."""

    studies_held: list[Study]
    series_held: dict[str, list[Series]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __str__(self) -> str:
        return "PACS"

    def studies(self, query: Query) -> list[Study]:
        if query.accession in self.broken:
            raise AssociationError("PACS cannot be reached.", passing=True)
        return [one for one in self.studies_held if query.answered_by(one)]

    def series(self, study: str) -> list[Series]:
        return self.series_held.get(study, [Series(study, f"{study}.1", "CT", "Thorax", "CHEST", 3)])

    def instances(self, study: str, series: str) -> list[Any]:
        raise NotImplementedError

    def bring(self, *_: object) -> str | None:
        raise NotImplementedError


def study(number: int, date: str, patient: Patient = WHO, **more: str) -> Study:
    return Study(f"1.{number}", f"A{number}", patient, date, **more)


def planned(source: Held, **wanted: Any) -> Plan:
    return plan(source, Selection(**wanted), lambda done, total: None)


def uids(found: Plan) -> list[str]:
    return [one.study.uid for one in found.studies]


NOW = study(0, "20240229", time="120000")


def test_priors_are_of_the_same_patient_and_earlier() -> None:
    source = Held(
        [
            NOW,
            study(1, "20230101"),
            study(2, "20230201", replace(WHO, born="19900101")),
            study(3, "20230301", replace(WHO, issuer="ELSEWHERE")),
            study(4, "20230401", replace(WHO, identifier="P2")),
            study(5, "20230501", Patient("P1")),  # which says no more than the identifier
            study(6, "20240301"),
            study(7, "20240229", time="130000"),
            study(8, "20240229", time="110000"),
        ]
    )
    assert uids(planned(source, accessions=("A0",), priors=9)) == ["1.0", "1.8", "1.5", "1.1"]
    assert uids(planned(source, accessions=("A0",), priors=2)) == ["1.0", "1.8", "1.5"]


def test_a_study_without_patient_has_no_priors() -> None:
    for odd in (replace(NOW, patient=Patient()), replace(NOW, date=""), replace(NOW, patient=Patient("P*"))):
        found = planned(Held([odd, study(1, "20230101", Patient(""))]), accessions=("A0",), priors=1)
        assert uids(found) == ["1.0"]
        ((name, reason),) = found.failed
        assert name == "A0"
        assert "P*" not in reason


def test_priors_may_have_to_be_of_the_same_modality_and_body_part() -> None:
    source = Held(
        [NOW, study(1, "20230101"), study(2, "20230201"), study(3, "20230301")],
        {
            "1.1": [Series("1.1", "1.1.1", "CT", "", "chest", 3)],
            "1.2": [Series("1.2", "1.2.1", "CT", "", "HEAD", 3)],
            "1.3": [Series("1.3", "1.3.1", "MR", "", "CHEST", 3)],
        },
    )

    def found(*like: str) -> list[str]:
        return uids(planned(source, accessions=("A0",), priors=1, priors_like=frozenset(like)))[1:]

    assert found() == ["1.3"]
    assert found("modality") == ["1.2"]
    assert found("modality", "body-part") == ["1.1"]
    assert found("body-part") == ["1.3"]
    source.series_held["1.0"] = [Series("1.0", "1.0.1", "CT", "", "", 3)]
    assert found("body-part") == []  # the study does not say which


def test_what_is_no_image_is_left_out_unless_it_is_asked_for() -> None:
    series = [Series("1.0", f"1.0.{n}", modality, "", "", 2) for n, modality in enumerate(("CT", "SR", "PR", "SEG", ""))]
    source = Held([NOW], {"1.0": series})
    found = planned(source, accessions=("A0",))
    assert [one.modality for one in found.studies[0].series] == ["CT", "SEG", ""]
    assert (found.left_out, found.series, found.instances) == (2, 3, 6)
    found = planned(source, accessions=("A0",), modalities=frozenset(["SR"]))
    assert [one.modality for one in found.studies[0].series] == ["SR"]


def test_each_failure_has_the_name_that_was_given_and_no_patients() -> None:
    source = Held([NOW, replace(study(1, "20230101"), accession="A0")], {"1.0": []}, {"BROKEN"})
    found = planned(source, accessions=("A0", "NONE", "BROKEN"), patients=("P1", "P7"))
    assert uids(found) == ["1.1"]
    assert {name for name, _ in found.failed} == {"1.0", "NONE", "BROKEN", "patient 2"}


def test_a_source_that_never_answers_is_one_error() -> None:
    with pytest.raises(AssociationError):
        planned(Held([], broken={"A"}), accessions=("A", "B"))


def test_a_source_that_stops_answering_is_not_asked_for_everything_else() -> None:
    source = Held([NOW], broken={f"B{n}" for n in range(50)})
    asked: list[str | None] = []
    answers = source.studies
    source.studies = lambda query: asked.append(query.accession) or answers(query)  # type: ignore[method-assign, func-returns-value]
    found = planned(source, accessions=("A0", *(f"B{n}" for n in range(50))))
    assert asked == ["A0", "B0", "B1", "B2"]
    assert uids(found) == ["1.0"]
    assert len(found.failed) == 50
    assert all("Not tried" in reason for name, reason in found.failed[3:])


def test_studies_asked_for_twice_come_once() -> None:
    found = planned(Held([NOW, study(1, "20230101")]), accessions=("A0", "A0", "A1"), studies=("1.0",), patients=("P1",), priors=1)
    assert sorted(uids(found)) == ["1.0", "1.1"]


@pytest.mark.parametrize("wanted", [{}, {"modalities": frozenset(["CT"])}, {"description": "thorax"}, {"priors": 3}])
def test_all_of_a_source_is_not_taken(wanted: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="whole PACS"):
        Selection(**wanted)


def test_a_source_error_of_priors_keeps_the_study() -> None:
    class Odd(Held):
        def series(self, study: str) -> list[Series]:
            if study != "1.0":
                raise SourceError("PACS refuses.")
            return super().series(study)

    found = planned(Odd([NOW, study(1, "20230101")]), accessions=("A0",), priors=1)
    assert uids(found) == ["1.0"]
    assert "PACS refuses." in found.failed[0][1]
