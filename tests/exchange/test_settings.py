"""``dicom.toml``: what is taken, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from casewise.errors import UsageError
from casewise.exchange.node import Node, WebNode, parse_peer
from casewise.exchange.settings import DicomSettings

WHOLE = """
ae_title = "CW"
host = "0.0.0.0"
[tls]
certificate = "own.pem"
key = "/etc/own.key"
[[senders]]
ae_title = "CT1"
address = "10.0.0.7"
site = "Main"
[nodes.pacs]
ae_title = "ORTHANC"
host = "10.0.0.2"
port = 4242
commitment = true
[web.archive]
url = "https://pacs.example/dicom-web"
user = "casewise"
password_variable = "PACS_PASSWORD"
[receive]
idle_seconds = 10
watch = ["incoming"]
[results]
radiographs = ["sr"]
send = ["pacs", "archive"]
[outbox]
retry_seconds = [1, 2]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "dicom.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_whole_file_is_taken_with_paths_beside_it(tmp_path: Path) -> None:
    found = DicomSettings.load(write(tmp_path, WHOLE))
    assert found.tls is not None
    assert found.tls.certificate == tmp_path / "own.pem"
    assert found.tls.key == Path("/etc/own.key")
    assert found.receive.watch == (tmp_path / "incoming",)
    assert found.peer("pacs") == Node("ORTHANC", "10.0.0.2", 4242, commitment=True)
    assert found.results.volumes == ("seg", "sr")
    assert DicomSettings.load(tmp_path / "elsewhere") == DicomSettings()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("aetitle = 'X'", "aetitle"),
        ("ae_title = 'LONGER THAN SIXTEEN'", "AE title"),
        ("host = '0.0.0.0'", "senders"),
        ("[results]\nsend = ['nobody']", "nobody"),
        ("[web.a]\nurl = 'http://pacs.example'", "https"),
        ("[web.a]\nurl = 'https://me:pw@pacs.example'", "password"),
        ("[tls]\ncertificate = 'a.pem'", "together"),
        ("[nodes.a]\nae_title = 'A'\nhost = 'h'\nport = 0", "port"),
        ("[receive]\nidle_seconds = -1", "idle_seconds"),
        ("[receive]\npriors = 2", "priors_from"),
        ("[receive]\npriors = 2\npriors_from = 'nobody'", "nobody"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        DicomSettings.load(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_systems_are_named_on_a_command_line() -> None:
    assert parse_peer("ORTHANC@127.0.0.1:4242") == Node("ORTHANC", "127.0.0.1", 4242)
    assert parse_peer("A@[::1]:104") == Node("A", "::1", 104)
    assert parse_peer("https://pacs.example/dicom-web/") == WebNode("https://pacs.example/dicom-web")
    for wrong in ("ORTHANC", "A@b", "A@b:99999", "@b:1", "http://pacs.example/dicom-web"):
        with pytest.raises(UsageError, match="DICOM"):
            parse_peer(wrong)
    with pytest.raises(UsageError, match="pacs"):
        DicomSettings(nodes={"pacs": Node("A", "b", 1)}).peer("other")
