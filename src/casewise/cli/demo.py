"""``casewise demo``: the whole way of an image on real images that come with the packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from casewise.cli.common import answering
from casewise.cli.options import DeviceOption, JsonOption, SeedOption, option


def demo(
    output: Annotated[
        Path, option("--output", "-o", metavar="DIR", help="Folder for the archive, the model and the report.", default=True)
    ] = Path("demo-output"),
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """See casewise work on real images: an archive, a model, a new image from a scanner it never saw, and the report.

    The images come inside the installed packages (nothing is downloaded) and are changed to stand for several hospitals'
    scanners; the report says which pixels are real and which are simulated. It takes about three minutes on two cores, and
    prints the report's path.

    [bold]Example[/bold]

      casewise demo --output demo-output

    Read on in docs/how-to/analyze-and-adapt.md.
    """
    with answering(as_json, kept="Run the command again to make the demonstration anew.") as answer:
        from casewise.demo import describe, run

        summary = run(output, seed=seed, device=device, progress=answer.progress)
        answer.give(summary, *describe(summary))
