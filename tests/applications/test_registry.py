"""The registry: who sees what, the rules over it, and every mistake of a declaration as one sentence."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from casewise.applications import registry as registry_module
from casewise.applications.builtin import BUILT_IN
from casewise.applications.conditions import Condition
from casewise.applications.declared import CommandRun, ContainerRun, Declared, EndpointRun, PythonRun
from casewise.applications.node_run import NodeRun
from casewise.applications.registry import Registry, default_registry
from casewise.applications.rules import Rule
from casewise.cli import main
from casewise.errors import UsageError
from casewise.header import Header

RUN = PythonRun("package.module:Object")


def declared(name: str, *categories: str) -> Declared:
    return Declared(name, categories, (f"feature of {name}",), RUN)


def hospital() -> Registry:
    """Five applications for two categories; two of them serve both."""
    return Registry(
        [
            declared("quality", "*"),
            declared("lungs", "chest X-ray", "chest CT"),
            declared("nodules", "chest X-ray", "chest CT"),
            declared("heart-size", "chest X-ray"),
            declared("emphysema", "chest CT"),
        ],
        [
            Rule((Condition("Modality", "is", "dx"), Condition("category", "is", "chest xray")), remove=("nodules",)),
            Rule((Condition("site", "is", "Hospital A"),), add=("emphysema",)),
        ],
    )


def test_more_applications_than_categories_and_some_serve_several() -> None:
    registry = hospital()
    xray, ct = registry.names_for("chest X-ray"), registry.names_for("chest CT")
    assert xray == ["quality", "lungs", "nodules", "heart-size"]
    assert ct == ["quality", "lungs", "nodules", "emphysema"]
    assert len(registry) > len({"chest X-ray", "chest CT"})
    assert {"lungs", "nodules"} <= set(xray) & set(ct)


def test_names_of_categories_may_be_spelt_otherwise() -> None:
    assert hospital().names_for("Chest_x-RAY") == hospital().names_for("chest X-ray")


def test_unknown_images_see_only_what_takes_all() -> None:
    assert hospital().names_for("unknown") == ["quality"]


def test_rules_add_and_remove_by_tag_category_and_site() -> None:
    registry = hospital()
    assert "nodules" not in registry.names_for("chest X-ray", Header(modality="DX"))
    assert "nodules" in registry.names_for("chest CT", Header(modality="DX"))
    assert registry.names_for("hand X-ray", site="hospital a") == ["quality", "emphysema"]
    assert registry.names_for("chest CT", site="Hospital A").count("emphysema") == 1
    assert [found.name for found in registry.for_route("chest CT", None, None)] == ["quality", "lungs", "nodules", "emphysema"]


@pytest.mark.parametrize(
    ("operator", "value", "given", "holds"),
    [
        ("is", "CT", "ct", True),
        ("is", "CT", "MR", False),
        ("is", "CT", None, False),
        ("is not", "CT", "MR", True),
        ("is not", "CT", None, False),
        ("contains", "cine", "SSFP CINE sax", True),
        ("starts with", "ssfp", "SSFP CINE sax", True),
        ("starts with", "cine", "SSFP CINE sax", False),
        ("one of", ["CR", "DX"], "dx", True),
        ("one of", ["CR", "DX"], "CT", False),
        ("at least", 18, 17.5, False),
        ("at least", 18, 18.0, True),
        ("at most", 18, 18.0, True),
        ("at most", 18, "young", False),
        ("known", False, None, True),
        ("known", True, None, False),
        ("known", True, "CT", True),
    ],
)
def test_conditions(operator: str, value: object, given: object, holds: bool) -> None:
    assert Condition("sequence", operator, value).holds({} if given is None else {"sequence": given}) is holds


GOOD = """
[[application]]
name = "nodules"
categories = ["chest X-ray", "chest CT"]
features = ["nodules", "calcification"]
command = ["python3", "{here}/nodules.py", "{in}", "{out}"]
environment = ["LICENCE_SERVER"]
seconds = 30
memory_mb = 2000
settings = { threshold = 0.4 }

[[application]]
name = "bleeding"
categories = ["head CT"]
features = ["haemorrhage"]
container = "hospital/bleeding:1.2"
runtime = "podman"

[[application]]
name = "bone-age"
categories = ["hand X-ray"]
features = ["bone age"]
endpoint = "https://bone-age.example.org/analyze"
token_env = "BONE_AGE_TOKEN"

[[application]]
name = "cad"
categories = ["mammogram"]
features = ["masses"]
node = "CAD@cad.example.org:11112"
reply_port = 11113
reply_host = "0.0.0.0"
results = ["sr"]
tls = { certificate = "own.pem", key = "/etc/own.key" }

[[application]]
name = "density"
categories = ["*"]
features = ["density"]
python = "density.app:Density"

[[rule]]
when = [{ field = "PatientAge", operator = "at least", value = 18 }]
remove = ["bone-age"]
"""


def test_a_file_declares_every_way_to_run(tmp_path: Path) -> None:
    path = tmp_path / "hospital.toml"
    path.write_text(GOOD)
    registry = default_registry([path])
    runs = {found.name: found.run for found in registry}
    assert runs["nodules"] == CommandRun(("python3", "{here}/nodules.py", "{in}", "{out}"), ("LICENCE_SERVER",), tmp_path)
    assert runs["bleeding"] == ContainerRun("hospital/bleeding:1.2", runtime="podman")
    assert runs["bone-age"] == EndpointRun("https://bone-age.example.org/analyze", "BONE_AGE_TOKEN")
    tls = {"certificate": str(tmp_path / "own.pem"), "key": "/etc/own.key"}
    assert runs["cad"] == NodeRun("CAD@cad.example.org:11112", 11113, reply_host="0.0.0.0", results=("sr",), tls=tls)
    assert runs["cad"].how == "DICOM node CAD@cad.example.org:11112"
    assert runs["density"] == PythonRun("density.app:Density")
    assert registry.get("nodules").settings == {"threshold": 0.4}
    assert registry.get("nodules").seconds == 30
    assert "bone-age" in registry.names_for("hand X-ray", Header(age=9.0))
    assert "bone-age" not in registry.names_for("hand X-ray", Header(age=40.0))


APPLICATION = '[[application]]\nname = "a"\ncategories = ["*"]\nfeatures = ["f"]\n'


NODE = APPLICATION + 'node = "CAD@127.0.0.1:11112"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", ["not valid TOML"]),
        ('[[aplication]]\nname = "a"', ["the key aplication", "did you mean application"]),
        ('application = "a"', ["[[application]]"]),
        (
            APPLICATION,
            ["[[application]] 'a'", "exactly one of the keys python, command, container, endpoint, node", "none is given"],
        ),
        (APPLICATION + 'python = "m:o"\ncommand = ["x"]', ["python and command are given"]),
        (APPLICATION + 'python = "m:o"\nsecond = 3', ["the key second", "did you mean seconds"]),
        (APPLICATION + 'python = "m:o"\nseconds = "3"', ["seconds = '3'", "a number"]),
        (APPLICATION + 'python = "m:o"\nseconds = 0', ["seconds = 0.0", "above 0"]),
        (APPLICATION + 'python = "m:o"\nsettings = 3', ["settings = 3", "a table"]),
        (APPLICATION + 'python = "m o"', ["python = 'm o'", "module:object"]),
        (APPLICATION + 'command = "rm -rf x"', ["command = 'rm -rf x'", "a list of texts"]),
        (APPLICATION + "command = []", ["command = []", "list of non-empty words"]),
        (APPLICATION + 'command = ["x"]\nruntime = "docker"', ["the key runtime is not known"]),
        (APPLICATION + 'container = "--privileged"', ["container = '--privileged'", "an image's name"]),
        (APPLICATION + 'container = "x"\nruntime = "sh"', ["runtime = 'sh'", "docker, podman"]),
        (APPLICATION + 'endpoint = "http://example.org/a"', ["endpoint = 'http://example.org/a'", "https://"]),
        (APPLICATION + 'endpoint = "file:///etc/passwd"', ["https://"]),
        (APPLICATION + 'endpoint = "https://example.org"\ntoken_env = "my token"', ["token_env = 'my token'"]),
        (APPLICATION + 'endpoint = "https://example.org"\nsend = "png"', ["send = 'png'", "nifti, file"]),
        (NODE[:-1] + "\n", ["the key reply_port is missing"]),
        (APPLICATION + 'node = "CAD"\nreply_port = 11113', ["node = 'CAD'", "TITLE@host:port"]),
        (APPLICATION + 'node = "https://example.org"\nreply_port = 11113', ["TITLE@host:port"]),
        (APPLICATION + 'node = "A TITLE THAT IS FAR TOO LONG@127.0.0.1:4"\nreply_port = 11113', ["TITLE@host:port"]),
        (NODE + 'reply_port = "11113"', ["reply_port = '11113'", "a whole number"]),
        (NODE + "reply_port = 70000", ["reply_port = 70000", "from 1 to 65535"]),
        (NODE + "reply_port = 11112", ["reply_port = 11112", "another port"]),
        (NODE + 'reply_port = 11113\nreply_title = "TOO LONG FOR A TITLE"', ["reply_title", "1 to 16"]),
        (NODE + 'reply_port = 11113\nanswers_from = "a\\\\b"', ["answers_from", "no backslash"]),
        (NODE + 'reply_port = 11113\nanswers_host = "other.example"', ["reply_host = '127.0.0.1'", "another machine"]),
        (NODE + 'reply_port = 11113\nresults = ["seg", "report"]', ["results = ['seg', 'report']", "seg, sr, capture"]),
        (NODE + "reply_port = 11113\nquiet_seconds = 0", ["quiet_seconds = 0.0", "above 0"]),
        (NODE + 'reply_port = 11113\nanonymous = "yes"', ["anonymous = 'yes'", "true or false"]),
        (NODE + 'reply_port = 11113\ntls = "a.pem"', ["tls = 'a.pem'", "a table of PEM files"]),
        (NODE + 'reply_port = 11113\ntls = { certificate = "a.pem" }', ["tls", "certificate and key go together"]),
        (NODE + 'reply_port = 11113\ntls = { cert = "a.pem" }', ["tls", "certificate, key, ca"]),
        (NODE + 'reply_port = 11113\nsend = "file"', ["the key send is not known"]),
        ('[[application]]\nname = "a"\nfeatures = ["f"]\npython = "m:o"', ["the key categories is missing"]),
        ('[[application]]\nname = "A b"\ncategories = ["*"]\nfeatures = ["f"]\npython = "m:o"', ["name = 'A b'", "lower case"]),
        ('[[application]]\nname = "a"\ncategories = []\nfeatures = ["f"]\npython = "m:o"', ["categories = []", "at least one"]),
        (APPLICATION + 'python = "m:o"\n' + APPLICATION + 'python = "m:o"', ["Two applications are named 'a'"]),
        ('[[rule]]\nadd = ["nobody"]', ["[[rule]] number 1", "'nobody'", "quality"]),
        ("[[rule]]\nwhen = []", ["[[rule]] number 1", "needs one of add, remove, model"]),
        ('[[rule]]\nadd = ["quality"]\nwhen = ["true"]', ["list of conditions"]),
        (
            '[[rule]]\nadd = ["quality"]\nwhen = [{ field = "x", operator = "is", value = 1 }]',
            ["condition 1", "field = 'x'", "modality"],
        ),
        ('[[rule]]\nadd = ["quality"]\nwhen = [{ field = "site", operator = "==", value = 1 }]', ["operator = '=='", "'is'"]),
        (
            '[[rule]]\nadd = ["quality"]\nwhen = [{ field = "age", operator = "at least", value = "18" }]',
            ["value = '18'", "a number"],
        ),
        ('[[rule]]\nadd = ["quality"]\nwhen = [{ field = "age", operator = "at least" }]', ["value is missing"]),
    ],
)
def test_each_mistake_of_a_file_is_one_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "hospital.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        default_registry([path])
    sentence = str(caught.value)
    assert str(path) in sentence
    assert sentence.endswith((".", ".)"))
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        EndpointRun("https://user:secret@example.org/")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASEWISE_APPLICATIONS", str(tmp_path / "none.toml"))
    with pytest.raises(UsageError, match=r"none\.toml does not exist"):
        default_registry()
    assert "quality" in [found.name for found in default_registry([])]


def test_a_category_that_no_router_tells_is_named_with_the_nearest() -> None:
    registry = Registry([declared("nodules", "chest xrays", "chest CT")])
    with pytest.raises(UsageError, match="did you mean 'chest X-ray'"):
        registry.check_categories(["chest X-ray", "chest CT"])
    hospital().check_categories(["chest X-ray", "chest CT", "hand X-ray"])


def test_what_is_run_on_request_comes_by_name_or_by_rule_alone() -> None:
    rule = Rule((Condition("site", "is", "Memory clinic"), Condition("category", "is", "unknown")), add=("crops",))
    registry = Registry([declared("all", "*"), declared("crops", "on request")], [rule])
    registry.check_categories(["chest CT"])
    assert registry.get("crops").name == "crops"
    assert registry.names_for("unknown") == registry.names_for("chest CT", site="Memory clinic") == ["all"]
    assert registry.names_for("unknown", site="Memory clinic") == ["all", "crops"]


class Plugin:
    categories = ("hand X-ray",)
    features = ("fracture",)


DECLARED = declared("from-a-package", "chest CT")


def test_installed_packages_bring_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    points = [
        EntryPoint("fracture", f"{here}:Plugin", registry_module.GROUP),
        EntryPoint("from-a-package", f"{here}:DECLARED", registry_module.GROUP),
        EntryPoint("gone", "no_such_module_here:Thing", registry_module.GROUP),
        EntryPoint("text", f"{here}:GOOD", registry_module.GROUP),
    ]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: points)
    registry = default_registry([])
    assert registry.get("fracture").run == PythonRun(f"{here}:Plugin")
    own = {application.name for application in BUILT_IN}
    takes = registry.names_for("chest CT")
    assert takes[0] == "quality" and [name for name in takes if name not in own] == ["from-a-package"]
    assert [name for name, _ in registry.problems] == ["gone", "text"]
    assert all(reason.endswith(".") for _, reason in registry.problems)


def test_the_command_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hospital.toml"
    path.write_text(GOOD)
    assert main(["applications", "--applications", str(path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    names = [found["name"] for found in listed]
    assert names == [*(known.name for known in BUILT_IN), "nodules", "bleeding", "bone-age", "cad", "density"]
    assert listed[names.index("nodules")]["categories"] == ["chest X-ray", "chest CT"]
    assert main(["applications", "--applications", str(path)]) == 0
    assert "bone-age  hand X-ray: bone age; endpoint bone-age.example.org" in capsys.readouterr().out
    path.write_text(GOOD + "oops = 1")
    assert main(["applications", "--applications", str(path)]) == 2
    assert "oops" in capsys.readouterr().err
