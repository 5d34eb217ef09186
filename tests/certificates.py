"""Self-made TLS certificates for tests: an authority, and certificates of it for 127.0.0.1."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from casewise.exchange.node import Tls
from tests.programs import missing


class Authority:
    """Issues certificates into ``folder``. ca : its own certificate's file."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        if shutil.which("openssl") is None:
            missing("openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.ca, self._key = folder, folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca)

    def issue(self, name: str) -> Tls:
        """A certificate for 127.0.0.1 with its key, and this authority as the one that is believed."""
        certificate, key, request, extension = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        extension.write_text("subjectAltName = IP:127.0.0.1, DNS:localhost\n")
        _openssl("req -newkey rsa:2048 -nodes -subj", f"/CN={name}", "-keyout", key, "-out", request)
        signed = ("-CA", self.ca, "-CAkey", self._key, "-extfile", extension, "-out", certificate)
        _openssl("x509 -req -CAcreateserial -days 30 -in", request, *signed)
        return Tls(certificate=certificate, key=key, ca=self.ca)


def _openssl(options: str, *arguments: str | Path) -> None:
    subprocess.run(["openssl", *options.split(), *map(str, arguments)], check=True, capture_output=True)
