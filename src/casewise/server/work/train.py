"""Train a model on the archive's cases, as ``casewise train`` does; a job that was cut off goes on from its last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.archive import Archive
from casewise.case import Case, Structure
from casewise.errors import UsageError
from casewise.models.listing import model_folder
from casewise.server.schemas.models import TrainOrder
from casewise.server.work.context import Work

if TYPE_CHECKING:
    from casewise.models import Model


def run(work: Work) -> dict[str, object]:
    """payload: a :class:`TrainOrder`."""
    from casewise.models import Model
    from casewise.training.from_archive import save_registered

    order = TrainOrder.model_validate({name: work.payload[name] for name in TrainOrder.model_fields if name in work.payload})
    folder = model_folder(work.archive.folder, order.name)
    if folder.exists() and work.job.tries == 1:
        raise UsageError(f"There is a model called {order.name} already, and models are never overwritten; choose another name.")
    if folder.exists():  # the try before was cut off after it had saved the model
        model, warning = Model.load(folder), None
        if model.key not in {entry["key"] for entry in work.archive.models()}:
            work.archive.add_model(model.key, model.name, folder.resolve(), {"task": model.task, "labels": list(model.labels)})
    else:
        model = _trained(work, order, folder)
        warning = save_registered(model, folder, work.archive.folder)
    result: dict[str, object] = {"model": model.name, "key": model.key, "measures": dict(model.lineage.measures)}
    return {**result, "note": warning} if warning else result


def _trained(work: Work, order: TrainOrder, folder: Path) -> Model:
    from casewise.adaptation.sequences import learnable
    from casewise.device import resolve_device
    from casewise.models import load
    from casewise.training import Settings, train_classifier, train_segmenter

    device = resolve_device("auto")
    settings = Settings(device=device) if order.steps is None else Settings(device=device, steps=order.steps)
    parent = load(order.start, archive=work.archive) if order.start else None

    def report(step: int, steps: int, loss: float) -> None:
        work.progress("Training", step, steps, f"loss {loss:.3f}")
        if step > 1 and (step - 1) % settings.checkpoint_every == 0:  # the step before was kept
            work.give_way()

    work.progress("Reading", 0)
    folder.parent.mkdir(exist_ok=True)
    train: Callable[..., Model] = train_segmenter if order.task == "segmenter" else train_classifier
    labels = [Structure.parse(text) for text in order.structures] if order.task == "segmenter" else []
    checkpoint = folder.with_name(f".{folder.name}.checkpoint")
    cases = learnable(parent, _cases(work.archive, order.category))
    return train(cases, labels, order.name, parent=parent, settings=settings, checkpoint=checkpoint, progress=report)


def _cases(archive: Archive, category: str | None) -> list[Case]:
    from casewise.training.from_archive import cases_of_categories

    return cases_of_categories(archive.cases(), [category] if category is not None else [])
