"""A DICOM node in a process of its own: ``python dicom_node.py PLAN``, which answers what it was sent with the files of its plan.

PLAN : a JSON file. ``title``, ``port`` : where it listens. ``reply`` : (title, host, port). ``calling`` : how it calls itself.
``batches`` : of each an association: ``after`` seconds since the one before, ``files``, ``hold`` seconds for which it stays open.
``key`` : PEM files for TLS (certificate, key). Beside the plan lie what it was sent, in ``sent``, and ``ready`` when it listens.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.presentation import build_context


def main() -> None:
    place = Path(sys.argv[1])
    plan = json.loads(place.read_text())
    sent = place.parent / "sent"
    sent.mkdir(exist_ok=True)
    released = threading.Semaphore(0)

    def stored(event: Any) -> int:
        (sent / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0

    entity = AE(plan["title"])
    entity.supported_contexts = AllStoragePresentationContexts
    for context in entity.supported_contexts:
        context.transfer_syntax = [*context.transfer_syntax, UID("1.2.840.10008.1.2.4.90"), UID("1.2.840.10008.1.2.4.70")]
    handlers = [(evt.EVT_C_STORE, stored), (evt.EVT_RELEASED, lambda event: released.release())]
    tls = None
    if plan.get("key"):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*plan["key"])
    entity.start_server(("127.0.0.1", plan["port"]), block=False, evt_handlers=handlers, ssl_context=tls)
    (place.parent / "ready").touch()
    while True:
        released.acquire()
        for batch in plan["batches"]:
            time.sleep(batch.get("after", 0))
            (place.parent / "log").open("a").write(f"{answer(plan, batch)}\n")


def answer(plan: dict[str, Any], batch: dict[str, Any]) -> Any:
    title, host, port = plan["reply"]
    datasets = [dcmread(path) for path in batch["files"]]
    contexts = {(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID) for dataset in datasets}
    entity = AE(batch.get("calling") or plan.get("calling") or plan["title"])
    tls = None
    if plan.get("key"):
        tls = (ssl.create_default_context(cafile=plan["key"][0]), "127.0.0.1")
        tls[0].load_cert_chain(*plan["key"])
    association = entity.associate(host, port, [build_context(*one) for one in contexts], ae_title=title, tls_args=tls)
    if not association.is_established:
        return "refused"
    statuses = [association.send_c_store(dataset).get("Status") for dataset in datasets]
    time.sleep(batch.get("hold", 0))
    association.release()
    return statuses


if __name__ == "__main__":
    main()
