"""A receiver for tests, and senders: dcmtk's storescu, and pynetdicom with files as they are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE, _config
from pynetdicom.presentation import build_context

from casewise.exchange.part10 import FileMeta
from casewise.exchange.received import Spool
from casewise.exchange.receiver import Receiver
from casewise.exchange.settings import DicomSettings
from tests.programs import missing


@contextmanager
def receiving(spool: Spool, settings: DicomSettings | None = None, **more: Any) -> Iterator[tuple[Receiver, int]]:
    """A receiver that runs within the block, and its port. Committed is what is in the spool, where nothing else is given."""

    def held(objects: Sequence[tuple[str, str]]) -> set[str]:
        present = {path.stem for series in spool.series() for path in spool.files(series)}
        return {sop_uid for _, sop_uid in objects} & present

    receiver = Receiver(settings or DicomSettings(), spool, 0, **{"committed": held, **more})
    port = receiver.start()
    try:
        yield receiver, port
    finally:
        receiver.stop()


def storescu(
    port: int, *arguments: str | Path, called: str = "CASEWISE", calling: str = "SCANNER"
) -> subprocess.CompletedProcess[str]:
    program = shutil.which("storescu") or missing("storescu of dcmtk")
    command = [program, "-v", "-aet", "SCANNER", "-aec", "CASEWISE", "127.0.0.1", str(port), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def statuses(port: int, *files: Path, calling: str = "SCANNER", handlers: Sequence[Any] = (), **more: Any) -> list[int | None]:
    """C-STORE of each file as it is, on one association; the status of each, None without an answer."""
    _config.STORE_SEND_CHUNKED_DATASET = True
    metas = [pydicom.filereader.read_file_meta_info(file) for file in files]
    entity = AE(ae_title=calling)
    entity.dimse_timeout = entity.network_timeout = entity.acse_timeout = 120
    wanted = sorted({(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas})
    contexts = [build_context(*one) for one in wanted]
    association = entity.associate("127.0.0.1", port, contexts, ae_title="CASEWISE", evt_handlers=list(handlers), **more)
    assert association.is_established, "the association was not accepted"
    try:
        return [_sent(association, file) for file in files]
    finally:
        association.release()


def _sent(association: Any, file: Path) -> int | None:
    try:
        return association.send_c_store(file).get("Status")
    except RuntimeError:  # the association is gone
        return None


def rejection(port: int, called: str = "CASEWISE", calling: str = "SCANNER") -> tuple[int, int, int] | None:
    """(result, source, diagnostic) with which an association is rejected; None where it is accepted."""
    entity = AE(ae_title=calling)
    entity.acse_timeout = 60
    association = entity.associate("127.0.0.1", port, [build_context("1.2.840.10008.1.1")], ae_title=called)
    if association.is_established:
        association.release()
        return None
    assert association.is_rejected
    answer = association.acceptor.primitive
    return answer.result, answer.result_source, answer.diagnostic


def data_set(path: Path) -> bytes:
    """What follows the file meta information."""
    with path.open("rb") as file:
        FileMeta.read(file)
        return file.read()
