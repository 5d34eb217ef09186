"""``casewise archive``: what an archive holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from casewise.cli.common import answering, plural
from casewise.cli.options import ArchiveArgument, DeviceOption, JsonOption, SeedOption

if TYPE_CHECKING:
    from casewise.archive.holdings import Holdings


def archive(
    archive: ArchiveArgument,
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
) -> None:
    """Report what an archive holds: images, structures with masks, categories, sites, subjects, and the models trained on it.

    No image is read. A case is an image with a mask, boxes or a category, from which a model can learn.

    [bold]Examples[/bold]

      casewise archive my-archive
      casewise archive my-archive --json

    Read on in docs/how-to/import-your-images.md.
    """
    with answering(as_json) as answer:
        from casewise.archive import Archive

        with Archive.open(archive) as opened:
            held = opened.holdings()
        answer.give(held.to_json(), *_lines(archive, held))


def _lines(name: str, held: Holdings) -> list[str]:
    subjects = f"of {plural(held.subjects, 'subject')}" if held.subjects else "of unknown subjects"
    if held.subjects and held.without_subject:
        subjects += f" ({plural(held.without_subject, 'image')} without one)"
    lines = [f"{name}: {plural(held.images, 'image')} {subjects}, {plural(held.cases, 'case')} with labels."]
    for title, counts in (
        ("Structures", held.structures),
        ("Categories", held.categories),
        ("Sites", held.sites),
        ("Modalities", held.modalities),
    ):
        lines.append(f"  {title}: {_counts(counts)}")
    models = ", ".join(f"{model['name']} ({model['task'] or 'unknown task'}, {model['path']})" for model in held.models)
    return [*lines, f"  Models: {models or 'none'}"]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({number:,})" for name, number in counts.items()) or "none"
