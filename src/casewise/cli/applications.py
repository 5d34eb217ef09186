"""``casewise applications``: which applications there are, and which images they take."""

from __future__ import annotations

from casewise.cli.common import answering
from casewise.cli.options import DeclarationsOption, DeviceOption, JsonOption, SeedOption


def applications(
    files: DeclarationsOption = None,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """List the applications: the categories of images they take, the features they look for, and how they run.

    They come with casewise, from installed packages and from TOML files; each file is checked on the way.

    [bold]Examples[/bold]

      casewise applications
      casewise applications --applications hospital.toml --json

    Read on in docs/how-to/connect-applications.md.
    """
    with answering(as_json) as answer:
        from casewise.applications.registry import default_registry
        from casewise.confinement import protections

        registry = default_registry(files or None)
        for name, reason in registry.problems:
            answer.failed(name, reason)
        lines = [
            f"{known.name}  {', '.join(known.categories)}: {', '.join(known.features)}; {known.run.how}  ({known.origin})"
            for known in registry
        ]
        answer.give(registry.to_json(), *lines, protections().sentence())
