"""A real S3 server for tests: SeaweedFS in a process of its own, on free ports of this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.orthanc import free_port
from tests.programs import missing

NAME = "archive"  # of the bucket that there is
ACCESS, SECRET = "AKTESTER", "a-secret-that-no-file-may-hold"
_WEED = Path(__file__).resolve().parents[1] / ".peers" / "seaweedfs" / "bin" / "weed"
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port.grpc")


@dataclass(eq=False)
class S3:
    """folder : where it keeps what it is given. port : of its S3 side."""

    folder: Path
    port: int = field(default_factory=free_port)
    others: tuple[int, ...] = field(default_factory=lambda: tuple(free_port() for _ in _PORTS))  # the same after each start
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        ports = [f"-{name}={port}" for name, port in zip(_PORTS, self.others, strict=True)]
        quiet = ["-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"]
        sockets = [f"-filer.localSocket={self.folder}/filer.sock", f"-s3.localSocket={self.folder}/s3.sock"]
        size = ["-volume.max=16", "-master.volumeSizeLimitMB=64", "-master.electionTimeout=1s"]
        here = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={self.folder}", "-filer", "-s3", f"-s3.port={self.port}"]
        users = [f"-s3.config={self.folder}/users.json"]
        log = (self.folder / "weed.log").open("ab")
        command = [str(_program()), "server", *here, *ports, *quiet, *sockets, *size, *users]
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + 90
        while not self._answers():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError((self.folder / "weed.log").read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def kill(self) -> None:
        """As if the power went; what it had acknowledged is there at the next ``start``."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(120)
            self.process = None
        for port in self.others:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def variables(self, access: str = ACCESS, secret: str = SECRET) -> dict[str, str]:
        """By which AWS's libraries know this server and a user of it."""
        keys = {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}
        return {**keys, "AWS_ENDPOINT_URL": self.url, "AWS_DEFAULT_REGION": "us-east-1"}

    def client(self, access: str = ACCESS, secret: str = SECRET) -> Any:
        """fsspec's file system for S3, of these keys, at this server."""
        import s3fs

        return s3fs.S3FileSystem(
            key=access, secret=secret, endpoint_url=self.url, use_listings_cache=False, skip_instance_cache=True
        )

    def _answers(self) -> bool:
        # Its S3 side is there before the parts behind it: it is ready when it has written something.
        try:
            client = self.client()
            if not client.exists(NAME):
                client.call_s3("create_bucket", Bucket=NAME)
            client.pipe_file(f"{NAME}/ready", b"x")
        except Exception:
            return False
        return True


@dataclass(frozen=True)
class Bucket:
    """What a test has of a bucket: all below ``below``. system : fsspec's, as a test looks at it."""

    server: S3
    name: str
    below: str
    system: Any

    def url(self, key: str = "") -> str:
        return f"s3://{self._path(key)}"

    def fill(self, folder: Path, below: str) -> None:
        """Put the files of a folder below a key."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(f"{below}/{path.relative_to(folder).as_posix()}", path.read_bytes())

    def put(self, key: str, content: bytes) -> None:
        self.system.call_s3("put_object", Bucket=self.name, Key=f"{self.below}/{key}", Body=content)

    def names(self) -> list[str]:
        return sorted(str(path).removeprefix(f"{self._path()}/") for path in self.system.find(self._path()))

    def read(self, key: str) -> bytes:
        content: bytes = self.system.cat_file(self._path(key))
        return content

    def remove(self, key: str) -> None:
        self.system.rm_file(self._path(key))

    def _path(self, key: str = "") -> str:
        return f"{self.name}/{self.below}/{key}".rstrip("/")


def _program() -> Path:
    found = _WEED if _WEED.is_file() else Path(shutil.which("weed") or missing("SeaweedFS (make peers)"))
    found.chmod(0o755)
    return found


@contextmanager
def s3_server(folder: Path) -> Iterator[S3]:
    """A server that runs within the block, with a bucket; its user READER may read another bucket alone."""
    if find_spec("s3fs") is None:
        missing("s3fs (the extra `s3`)")
    folder.mkdir(parents=True, exist_ok=True)
    everything = ["Admin", "Read", "Write", "List", "Tagging"]
    users = [(ACCESS, SECRET, everything), ("READER", "reads", ["Read:open", "List:open"])]
    identities = [
        {"name": access, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}
        for access, secret, actions in users
    ]
    (folder / "users.json").write_text(json.dumps({"identities": identities}), encoding="utf-8")
    server = S3(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
