"""``casewise serve``: the page, the sessions and the jobs of an archive."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from casewise.cli.common import say
from casewise.cli.options import ArchiveArgument, JsonOption, flag, option
from casewise.cli.progress import Bars
from casewise.errors import UsageError


def serve(
    archive: ArchiveArgument,
    host: Annotated[str, option("--host", metavar="ADDRESS", help="Where to listen.", default=True)] = "127.0.0.1",
    port: Annotated[
        int, option("--port", metavar="N", help="Which port; 0 takes a free one.", default=True, min=0, max=65535)
    ] = 8080,
    workers: Annotated[
        int, option("--workers", metavar="N", help="How many processes do the jobs.", default=True, min=0, max=64)
    ] = 1,
    dicom_port: Annotated[
        int | None,
        option("--dicom-port", metavar="N", help="Receive DICOM objects at this port; 0 takes a free one.", min=0, max=65535),
    ] = None,
    proxy: Annotated[
        str | None, option("--behind-proxy", metavar="ADDRESS", help="The IP address of a proxy in front that has TLS.")
    ] = None,
    certificate: Annotated[Path | None, option("--tls-certificate", metavar="PEM", help="The certificate, with its chain.")] = None,
    key: Annotated[Path | None, option("--tls-key", metavar="PEM", help="The certificate's key.")] = None,
    demo: Annotated[bool, flag("--demo", "First make a demonstration's archive there, of images in packages.")] = False,
    browser: Annotated[bool, flag("--open", "Open the page in the browser.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve an archive: the worklist, drawing and results in a browser, and the desktop clients that people already use.

    It prints the page's address, and a link that signs in whoever opens it first. It answers this machine alone; another address
    is refused until the archive has users, and until the connection is encrypted: by --tls-certificate and --tls-key, or by a
    proxy that --behind-proxy names. Analyses and trainings are done by worker processes, which a server starts and ends; more of
    them, also on other machines, are `casewise work ARCHIVE`. With --dicom-port it is a DICOM node: scanners and PACS send to it,
    complete studies are analysed, and results are sent where dicom.toml, in the archive's folder, says. An archive that receives
    may begin empty. Ctrl-C ends it, and nothing that was drawn, received or done is lost.

    [bold]Examples[/bold]

      casewise serve my-archive --open
      casewise serve demo-archive --demo --open
      casewise serve my-archive --port 9000 --workers 2
      casewise serve my-archive --dicom-port 11112

    Read on in docs/how-to/serve.md and docs/how-to/dicom.md.
    """
    check_installed("serve")
    if dicom_port is not None:
        check_packages("serve --dicom-port", "pynetdicom", "dicomweb_client")
    from casewise.server.run import Address, serve

    def ready(url: str, link: str | None, node: str | None) -> None:
        if as_json:
            from casewise.json_safe import dumps

            lines = [dumps({"url": url, "link": link, "dicom": node})]
        else:
            lines = [f"{archive} is at {url}"]
            lines += [f"Open this link once, within 10 minutes, to sign in: {link}"] if link else []
            lines += [f"DICOM objects are received at {node}."] if node else []
            lines += ["Ctrl-C ends it."]
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
        if browser and _has_screen():
            import webbrowser

            webbrowser.open(link or url)

    if demo:
        with Bars() as bars:
            from casewise.server.demonstration import prepare

            prepare(Path(archive), bars)
    address = Address(host, port, proxy, certificate, key)
    serve(Path(archive), address, workers=workers, dicom_port=dicom_port, ready=ready)
    say("Stopped. Sessions go on where they were when it is started again; jobs that had not ended wait for a worker.")


def _has_screen() -> bool:
    """Whether a browser has a window to open; in a terminal alone it would take that over."""
    return sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def check_installed(command: str) -> None:
    """Raises UsageError where the extra packages of the server are missing."""
    check_packages(command, "fastapi", "uvicorn", "multipart", "argon2", "authlib", "prometheus_client")


def check_packages(command: str, *modules: str) -> None:
    """Raises UsageError where one of these is missing."""
    missing = [name for name in modules if not find_spec(name)]
    if missing:
        msg = f"`casewise {command}` needs more packages ({', '.join(missing)}): run `pip install 'casewise[server]'`."
        raise UsageError(msg)
