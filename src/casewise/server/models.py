"""The models that a server knows: those that come with casewise, and those that were made from the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casewise.archive import Archive
from casewise.case import Structure
from casewise.errors import CasewiseError, UsageError
from casewise.models.listing import SHIPPED, describe_model, find_models, model_folder
from casewise.server.problems import ConflictError
from casewise.server.schemas.models import ModelLine, ModelPage, TrainOrder


def page(archive: Archive) -> ModelPage:
    """All models; one whose files are gone or damaged is left out."""
    lines = {line.key: line for line in (*_shipped(), *_of_archive(archive))}
    holdings = archive.holdings()
    tasks: dict[str, dict[str, Any]] = {
        "segmenter": {"structures": holdings.structures, "categories": holdings.categories, "steps": 800},
        "classifier": {"categories": holdings.categories, "steps": 800},
    }
    return ModelPage(models=list(lines.values()), tasks=tasks)


def check(archive: Archive, order: TrainOrder) -> None:
    """Refuse before anything is queued what could only fail. Raises ConflictError for a name that is taken, and UsageError."""
    if model_folder(archive.folder, order.name).exists() or any(entry["name"] == order.name for entry in archive.models()):
        raise ConflictError(f"There is a model called {order.name} already, and models are never overwritten; choose another name.")
    structures = [Structure.parse(text) for text in order.structures]
    holdings = archive.holdings()
    if order.task == "classifier" and structures:
        raise UsageError("A classifier learns the archive's categories; leave the structures out, or train a segmenter.")
    if order.task == "classifier" and order.category is not None:
        raise UsageError("A classifier learns all of the archive's categories; leave the category out.")
    if order.task == "classifier" and len(holdings.categories) < 2:
        raise UsageError("A classifier needs images of two categories or more; the archive has fewer.")
    if order.task == "segmenter" and not structures and order.start is None:
        raise UsageError("Name the structures that a segmenter learns, or the model that it starts from.")
    missing = [str(one) for one in structures if not any(part in holdings.structures for part in one.parts)]
    if missing:
        raise UsageError(f"No image has a mask of {', '.join(missing)}; there are masks of {_listed(holdings.structures)}.")
    if order.start is not None and order.start not in {line.name for line in page(archive).models}:
        raise UsageError(f"There is no model called {order.start[:60]!r} here to start from.")


def _listed(names: dict[str, int]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "") if shown else "nothing"


def _shipped() -> Iterator[ModelLine]:
    for folder in find_models(SHIPPED):
        yield from _described(folder, "shipped", None)


def _of_archive(archive: Archive) -> Iterator[ModelLine]:
    for entry in archive.models():
        data = entry["data"]
        made = data.get("made") if isinstance(data, dict) else None
        yield from _described(Path(str(entry["path"])), "archive", made if isinstance(made, str) else None)


def _described(folder: Path, origin: str, made: str | None) -> Iterator[ModelLine]:
    try:
        about: dict[str, Any] = describe_model(folder)
        card = folder / "card.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else None
    except (CasewiseError, OSError, UnicodeDecodeError):
        return
    licences = [(str(one["name"]), str(one["licence"])) for one in about["licences"]]
    yield ModelLine.model_validate(
        {
            "key": str(about["key"] or folder.name),
            "name": about["name"],
            "origin": origin,
            "task": about["task"],
            "structures": about["labels"],
            "parent": about["parent_key"],
            "parent_name": about["parent"],
            "refined_on": about["refined_on"] or (about["trained_on"] if about["parent_key"] else 0),
            "licence": ", ".join(dict.fromkeys(licence for _, licence in licences)) or None,
            "research_only": about["research_only"],
            "measures": about["measures"],
            "created": made,
            "card": _card(text, licences),
        }
    )


def _card(text: str | None, licences: list[tuple[str, str]]) -> str | None:
    """The model's card, with the licences of its training data one by one."""
    if text is None or not licences:
        return text
    return "\n".join(
        [text.rstrip(), "", "## Licences of the training data", *(f"- {name}: {licence}" for name, licence in licences), ""]
    )
