"""The models that an archive knows: each training enters its own, and ``analyze`` takes the newest where none is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from casewise.cli.common import say
from casewise.errors import UsageError

if TYPE_CHECKING:
    from casewise.archive import Archive
    from casewise.models import Model


def register(archive: Archive, model: Model, folder: Path) -> None:
    """Enter ``model``, saved in ``folder``, among the archive's."""
    made = datetime.now(UTC).isoformat()
    archive.add_model(model.key, model.name, folder.resolve(), {"task": model.task, "labels": list(model.labels), "made": made})


def choose(name: str | None, archive: Archive | None) -> Model:
    """The model called ``name``, or the archive's newest. Raises UsageError where there is none."""
    model = choose_any(name, archive)
    if model is None:
        msg = (
            "Name a model with --model, or an archive that one was trained on with --archive: "
            "`casewise models` lists the models that are there, `casewise train` makes one."
        )
        raise UsageError(msg)
    return model


def choose_any(name: str | None, archive: Archive | None) -> Model | None:
    """The model called ``name`` (see :func:`casewise.models.load`); without a name, the archive's newest, if any.

    Which one was taken is said where there was a choice.
    """
    from casewise.models import load
    from casewise.models.registry import registered

    known = registered(archive)
    if name is not None:
        return load(name, archive=archive)
    if not known:
        return None
    newest, folder = known[-1]
    if len(known) > 1:
        say(f"Of the {len(known)} models trained on this archive the newest is used, {newest}; --model names another.")
    return load(folder)
