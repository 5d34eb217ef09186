"""Rules: which of them hold for real DICOM files, what they decide together, and every mistake as one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casewise import formats
from casewise.applications.conditions import FIELDS, Condition, facts_of
from casewise.applications.decision import Decision, Delivery
from casewise.applications.declared import Declared, PythonRun
from casewise.applications.registry import Registry, default_registry
from casewise.applications.rules import OBJECTS, Rule, decided, priority_before
from casewise.errors import UsageError
from tests.dicom_studies import film, oblique_mr

NAMES = ("lungs", "heart", "nodules")


def declared(path: Path, text: str) -> Registry:
    path.write_text(text)
    return default_registry([path])


def test_last_rule_that_holds_wins_and_targets_add_up(tmp_path: Path) -> None:
    registry = declared(
        tmp_path / "applications.toml",
        """
[[rule]]
name = "everything"
model = "general"
adapt = "similar"
send = ["pacs", "research"]
priority = 1

[[rule]]
when = [{ field = "calling_ae", operator = "is", value = "ct1" }]
model = "none"
send = ["CT@10.0.0.5:104", "research"]
objects = ["seg", "map"]
priority = -3

[[rule]]
when = [{ field = "calling_ae", operator = "is", value = "CT2" }]
skip = true
""",
    )
    one = registry.decide("unknown", {"calling_ae": "CT1"})
    assert (one.model, one.adapt, one.priority, one.skip) == ("none", "similar", -3, False)
    assert one.send == (Delivery("pacs"), Delivery("research", ("seg", "map")), Delivery("CT@10.0.0.5:104", ("seg", "map")))
    assert one.why == ("everything", "rule 2 of applications.toml") and one.applications == ("quality",)
    assert one.sentence == "Rules that held: everything; rule 2 of applications.toml."
    two = registry.decide("unknown", {"calling_ae": "CT2"})
    assert two.skip and two.applications == () and two.send == () and two.model is None
    assert registry.decide("unknown", {}).send == (Delivery("pacs"), Delivery("research"))
    assert one.to_json()["send"][1] == {"target": "research", "objects": ["seg", "map"]}


def test_no_rule_says_nothing_and_an_empty_list_says_nowhere() -> None:
    assert decided([], NAMES, {}) == Decision(NAMES)
    assert decided([Rule(send=())], NAMES, {}).send == ()
    assert decided([Rule(send=()), Rule(send=("pacs",))], NAMES, {}).send == (Delivery("pacs"),)


def test_conditions_read_the_file_itself(tmp_path: Path) -> None:
    series = film(
        tmp_path,
        rows=300,
        columns=250,
        sender="ER_XRAY",
        StudyDescription="Thorax liegend Dr. Huber",
        InstitutionName="Klinikum Nord",
        StationName="DX-3",
        KVP="125",
        ImageType=["ORIGINAL", "PRIMARY", "LATERAL"],
    )
    image = formats.read(series.files[0])
    conditions = {
        ("StudyDescription", "contains", "LIEGEND"): True,
        ("InstitutionName", "starts with", "klinikum"): True,
        ("StationName", "one of", ("DX-1", "DX-3")): True,
        ("KVP", "at least", 120): True,
        ("KVP", "is", 125): True,
        ("ImageType", "contains", "lateral"): True,
        ("calling_ae", "is", "er_xray"): True,
        ("called_ae", "known", False): True,
        ("ContrastBolusAgent", "known", True): False,
        ("SliceThickness", "known", True): False,
        ("Modality", "is", "DX"): True,
        ("PatientSex", "is", "f"): True,
        ("PatientAge", "at least", 60): True,
    }
    for about, holds in conditions.items():
        condition = Condition(*about)
        facts = facts_of(image, condition.of_file)
        assert condition.holds(facts) is holds, about
        assert set(facts) - set(image.header.to_json()) <= condition.of_file, "nothing else is read"
    assert "Huber" not in str(image.header), "and nothing of it is kept"
    facts = facts_of(image, {"calling_ae", "called_ae"}, calling_ae="CT9", called_ae=None, site="north")
    assert facts["calling_ae"] == "CT9" and facts["site"] == "north", "what the network knows comes before the file's word"


def test_a_series_is_asked_by_its_own_file(tmp_path: Path) -> None:
    for number, thickness in ((1, "3.5"), (2, "5")):
        made = oblique_mr(tmp_path / str(number), 4, series_number=number, SliceThickness=thickness)
        for file in made.files:
            file.rename(tmp_path / f"{number}{file.name}")
        (tmp_path / str(number)).rmdir()
    found = [formats.read_found(entry) for entry in formats.scan(tmp_path)]
    assert [facts_of(image, {"SliceThickness"})["SliceThickness"] for image in found] in ([3.5, 5.0], [5.0, 3.5])


def test_what_is_no_dicom_or_gone_states_nothing(tmp_path: Path) -> None:
    series = film(tmp_path, rows=64, columns=64, StudyDescription="Chest")
    image = formats.read(series.files[0])
    series.files[0].unlink()
    assert "StudyDescription" not in facts_of(image, {"StudyDescription"})
    assert Condition("SeriesDescription", "contains", "cine").holds({"sequence": "SSFP cine"}), "the header's words stand in"


def test_no_field_names_a_patient() -> None:
    for name in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "ReferringPhysicianName", "OtherPatientIDs"):
        assert name not in FIELDS
        with pytest.raises(UsageError, match="is not known"):
            Condition(name, "is", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('model = ""', ["model = ''", "none"]),
        ("model = 3", ["model = 3", "a text"]),
        ('adapt = "always"', ["adapt = 'always'", "none, similar, subset"]),
        ('send = "pacs"', ["send = 'pacs'", "a list of texts"]),
        ('objects = ["sr"]', ["objects goes with send"]),
        ('send = []\nobjects = ["sr"]', ["objects goes with send"]),
        ('send = ["pacs"]\nobjects = ["pdf"]', ["objects = ['pdf']", "seg, sr, capture, map"]),
        ('send = ["pacs"]\nobjects = []', ["objects = []"]),
        ("priority = 11", ["priority = 11", "-10 to 10"]),
        ("priority = 1.5", ["priority = 1.5", "a whole number"]),
        ('skip = "yes"', ["skip = 'yes'", "true or false"]),
        ("skipp = true", ["the key skipp", "did you mean skip"]),
        ('name = "x"', ["[[rule]] 'x'", "needs one of"]),
        ('skip = true\nwhen = [{ field = "KVP", operator = "is", value = "120" }]', ["value = '120'", "KVP is a number"]),
        ('skip = true\nwhen = [{ field = "PatientID", operator = "is", value = "1" }]', ["field = 'PatientID'", "calling_ae"]),
    ],
)
def test_each_mistake_of_a_rule_is_one_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "applications.toml"
    with pytest.raises(UsageError) as caught:
        declared(path, f"[[rule]]\n{text}\n")
    sentence = str(caught.value)
    assert str(path) in sentence and sentence.endswith((".", ".)")) and "\n" not in sentence
    for word in words:
        assert word in sentence


def test_priority_is_known_before_the_route() -> None:
    urgent = Condition("calling_ae", "is", "ER")
    rules = [
        Rule((urgent,), priority=4),
        Rule((urgent, Condition("category", "is", "chest-xray")), priority=9),
        Rule((Condition("site", "is", "x"),), priority=-2),
        Rule((urgent,), add=("lungs",)),
    ]
    assert priority_before(rules, {"calling_ae": "ER"}) == 4
    assert priority_before(rules, {"calling_ae": "ER", "site": "x"}) == -2
    assert priority_before(rules, {}) is None
    assert decided(rules, (), {"calling_ae": "ER", "category": "chest-xray"}).priority == 9


CONDITIONS = st.builds(
    Condition,
    st.sampled_from(["site", "calling_ae", "StudyDescription"]),
    st.sampled_from(["is", "is not", "contains", "starts with"]),
    st.sampled_from(["A", "b", "AB"]),
)
LISTS = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)
RULES = st.builds(
    lambda when, add, remove, model, adapt, send, objects, priority, skip: Rule(
        tuple(when), add, remove, model, adapt, send, objects if send else None, priority, skip
    ),
    st.lists(CONDITIONS, max_size=2),
    LISTS,
    LISTS,
    st.none() | st.sampled_from(["m1", "m2", "none"]),
    st.none() | st.sampled_from(["none", "similar", "subset"]),
    st.none() | st.lists(st.sampled_from(["pacs", "ws", "A@h:1"]), max_size=2, unique=True).map(tuple),
    st.none() | st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(-10, 10),  # so that each has an action
    st.none() | st.booleans(),
)
FACTS = st.dictionaries(st.sampled_from(["site", "calling_ae", "StudyDescription"]), st.sampled_from(["a", "B", "ab", "xAb"]))


@given(st.lists(RULES, max_size=6), FACTS)
def test_decisions_follow_from_the_rules_that_hold(rules: list[Rule], facts: dict[str, object]) -> None:
    decision = decided(rules, NAMES[:2], facts)
    held = [rule for rule in rules if rule.holds(facts)]
    assert decision == decided(held, NAMES[:2], facts), "rules that do not hold change nothing"
    assert len(decision.why) == len(held)
    last = {
        key: [getattr(rule, key) for rule in held if getattr(rule, key) is not None] for key in ("model", "adapt", "skip", "send")
    }
    assert decision.skip is (last["skip"][-1] if last["skip"] else False)
    assert decision.priority == (held[-1].priority if held else 0)
    if decision.skip:
        assert decision.applications == () and decision.send == ()
        return
    assert decision.model == (last["model"][-1] if last["model"] else None)
    assert decision.adapt == (last["adapt"][-1] if last["adapt"] else None)
    if decision.send is None:
        assert not last["send"]
    else:
        assert {one.target for one in decision.send} == {target for send in last["send"] for target in send}
    assert len(set(decision.applications)) == len(decision.applications)
    removed = {name for rule in held for name in rule.remove}
    assert set(NAMES[:2]) - removed <= set(decision.applications) <= set(NAMES)
    assert decided([*rules, Rule(remove=NAMES)], NAMES, facts).applications == ()


@given(st.lists(RULES, max_size=4), FACTS)
def test_a_registry_decides_the_same(rules: list[Rule], facts: dict[str, object]) -> None:
    applications = [Declared(name, ("chest CT",), ("f",), PythonRun("m:o")) for name in NAMES]
    registry = Registry(applications, rules)
    assert registry.decide("chest-ct", facts) == decided(rules, NAMES, {**facts, "category": "chest-ct"})
    assert registry.needed <= {"calling_ae", "StudyDescription"}
