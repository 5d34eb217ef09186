"""One file a kind of model: its samples, loss, measures and prediction, and the settings that are its own."""

from __future__ import annotations

from casewise.models.networks import INTERACTIVE
from casewise.models.spec import JOINED, Spec
from casewise.models.tasks.classification import Classification
from casewise.models.tasks.diffuse_findings import DiffuseFindings
from casewise.models.tasks.encoding import Encoding
from casewise.models.tasks.inpainting import Inpainting
from casewise.models.tasks.interactive import Interactive
from casewise.models.tasks.joined import Joined
from casewise.models.tasks.lesions import Lesions
from casewise.models.tasks.projection import Projection
from casewise.models.tasks.segmentation import Segmentation
from casewise.models.tasks.small_findings import SmallFindings
from casewise.models.tasks.task import Batch, Sample, Task

__all__ = [
    "Batch",
    "Classification",
    "DiffuseFindings",
    "Encoding",
    "Inpainting",
    "Interactive",
    "Joined",
    "Lesions",
    "Projection",
    "Sample",
    "Segmentation",
    "SmallFindings",
    "Task",
    "task_of",
]

_TASKS: dict[str, type[Task]] = {task.name: task for task in (Segmentation, Classification, Encoding, Lesions)}
# Kinds that a model.toml names by their network, since they are segmenters and autoencoders to whoever knows nothing of them.
_BY_NETWORK: dict[str, type[Task]] = {
    "segment_detector": SmallFindings,
    "diffuse": DiffuseFindings,
    "projected": Projection,
    JOINED: Joined,
} | dict.fromkeys(INTERACTIVE, Interactive)


def task_of(spec: Spec) -> Task:
    """The task of the model that ``spec`` describes."""
    kind = _TASKS[spec.task]
    own = _BY_NETWORK.get(spec.architecture, Inpainting if "holes" in spec.network else kind)
    return (own if issubclass(own, kind) else kind)(spec)
