"""A PostgreSQL server of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.programs import postgresql as programs_of_postgresql


@contextmanager
def postgresql_server(durable: bool = False) -> Iterator[str]:
    """A new server on a socket in a folder of its own; the URL of an empty database. Skips the test where none is installed.

    durable : whether a transaction is on disk when it is committed, as it is outside of tests.
    """
    programs, runuser = programs_of_postgresql(), str(shutil.which("runuser"))
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:  # a socket's path must be short
        as_user = [runuser, "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if as_user:
            shutil.chown(folder, "postgres", "postgres")

        def run(program: str, *arguments: str) -> None:
            command = [*as_user, str(programs / program), *arguments]
            subprocess.run(
                command, check=True, stdout=subprocess.DEVNULL, cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
            )

        run("initdb", "-D", f"{folder}/data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync={'on' if durable else 'off'}"
        run("pg_ctl", "-D", f"{folder}/data", "-o", settings, "-w", "-l", f"{folder}/log", "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
