"""What a model is, apart from its weights: its task, its network, its input, and where it came from. Written as ``model.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec

from casewise.case import Case, Structure
from casewise.errors import ModelError
from casewise.models.documents import read
from casewise.models.licences import TrainingData
from casewise.models.planned.plan import plan_of
from casewise.models.planned.preparation import Planned
from casewise.models.preparation import Preparation
from casewise.models.regions import MOST, Regions, independent

FORMAT = 1
PLANNED = "nnunet"
JOINED = "joined"  # several of the kind nnunet, one after another
_ALLOWED = "it has task, network, input, and structures or classes, each a list of names."
_MOST = 255  # structures of a label map of bytes
TASKS = {  # whether such a model names structures, and classes
    "segmentation": (True, False),
    "classification": (False, True),
    "encoding": (False, False),
    "lesions": (True, True),
}


@dataclass(frozen=True)
class Spec:
    """task : ``segmentation`` (``structures``), ``classification`` (``classes``), ``encoding`` (similarity only) or ``lesions``
    (the lesion as the one structure, and the classes of a slice, the first of which is that it has none).

    network : ``kind`` and that kind's settings, as :func:`casewise.models.networks.build` reads them.
    """

    task: str
    network: Mapping[str, Any]
    preparation: Preparation
    structures: tuple[Structure, ...] = ()
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            msg = f"A model's task is one of {', '.join(TASKS)}; got {self.task!r}."
            raise ModelError(msg)
        if TASKS[self.task] != (bool(self.structures), bool(self.classes)):
            msg = f"A segmenter names its structures, a classifier its classes; this {self.task} model does not."
            raise ModelError(msg)
        if self._overlap and len(self.structures) > MOST:
            msg = f"At most {MOST} structures may overlap by sigmoid outputs; this model has {len(self.structures)}."
            raise ModelError(msg)
        # Lists, as TOML gives them back: a model's key must not change by being written and read.
        network = {key: list(value) if isinstance(value, tuple) else value for key, value in self.network.items()}
        object.__setattr__(self, "network", network)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of structures or classes, in the order of the network's outputs (a segmenter's first output is background)."""
        return tuple(structure.name for structure in self.structures) or self.classes

    @property
    def architecture(self) -> str:
        """The kind of network: one of casewise's own (``unet``, …), ``monai`` or ``torchscript``."""
        return str(self.network.get("kind"))

    @property
    def outputs(self) -> int:
        """Channels of the network's answer."""
        if self.regions:
            return len(self.structures)
        return len(self.classes) or (len(self.structures) + 1 if self.structures else self.preparation.channels)

    @property
    def regions(self) -> Regions:
        """Of structures that overlap; see :mod:`casewise.models.regions`."""
        return self.preparation.regions or (independent(len(self.structures)) if self._overlap else ())

    @property
    def _overlap(self) -> bool:
        return self.network.get("answers") == "sigmoid" and len(self.structures) > 1

    def labelled(self, case: Case) -> bool:
        """Whether a case carries a label of the kind that the model predicts: one of its classes, or a mask of a structure."""
        return any(case.has(structure) for structure in self.structures) if self.structures else case.category in self.classes

    @classmethod
    def planned(cls, network: Mapping[str, Any], structures: tuple[Structure, ...] = ()) -> Spec:
        """Of an nnU-Net, by its plans; ``structures`` may join other masks than those of their own names."""
        plan = plan_of(network)
        structures = structures or tuple(Structure(name, (name,)) for name in plan.structures)
        if len(structures) != len(plan.structures):
            raise ModelError(f"The plans name the structures {', '.join(plan.structures)}; a model of theirs has as many.")
        return cls("segmentation", network, Planned.of(plan), structures)

    @classmethod
    def joined(cls, network: Mapping[str, Any], structures: tuple[Structure, ...]) -> Spec:
        """Of several nnU-Nets whose answers make one: ``parts``, each a network of the kind ``nnunet``, and ``outputs``, names of
        what each answers. ``structures`` are those that are wanted of them.
        """
        own = read(network, _Joined, "A network of the kind joined", "parts and outputs are lists, one of each for each model.")
        plans = [plan_of(part) for part in own.parts]
        names = [name for names in own.outputs for name in names]
        strange = sorted({one.name for one in structures} - set(names))
        if [len(plan.structures) for plan in plans] != [len(names) for names in own.outputs] or strange or not plans:
            raise ModelError(f"The models that are joined do not answer what they are said to ({', '.join(strange) or 'numbers'}).")
        if any(plan.regions or plan.axes != 3 for plan in plans) or len(set(names)) != len(names) or len(names) > _MOST:
            raise ModelError(f"Models are joined that answer at most {_MOST} structures of volumes, each one of them once.")
        return cls("segmentation", network, Planned.of(plans[0]), structures)

    def to_toml(self) -> dict[str, Any]:
        preparation = self.preparation.to_toml()
        document: dict[str, Any] = {"task": self.task, "network": dict(self.network), "input": preparation}
        if self.structures:
            document["structures"] = [str(structure) for structure in self.structures]
        if self.classes:
            document["classes"] = list(self.classes)
        return document

    @classmethod
    def from_toml(cls, document: Mapping[str, Any], origin: str = "model.toml") -> Spec:
        """Raises ModelError, one sentence, for a document that is no model's; ``origin`` is the file it names."""
        described = read(document, _Document, origin, _ALLOWED)
        if described.network.get("kind") == PLANNED:
            return cls.planned(described.network, tuple(Structure.parse(text) for text in described.structures))
        if described.network.get("kind") == JOINED:
            return cls.joined(described.network, tuple(Structure.parse(text) for text in described.structures))
        read(described.input, Preparation, f"[input] in {origin}", _ALLOWED)
        # As they are written, and not as msgspec converts them: a key is made of the numbers' own kinds.
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in described.input.items()}
        strange = sorted(set(given) - {one.name for one in fields(Preparation)})
        if strange:
            raise ModelError(f"[input] in {origin} lacks or misspells a setting (unknown field `{strange[0]}`); {_ALLOWED}")
        structures = tuple(Structure.parse(text) for text in described.structures)
        return cls(described.task, described.network, Preparation(**given), structures, described.classes)


class _Joined(msgspec.Struct):
    parts: list[dict[str, Any]]
    outputs: list[list[str]]
    largest: list[str]
    smallest_mm3: dict[str, float]


class _Document(msgspec.Struct):
    """What a ``model.toml`` or a foreign model's description says of the model itself."""

    task: str
    network: dict[str, Any]
    input: dict[str, Any]
    structures: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """Where a model came from.

    parent, parent_name : key and name of the model it was trained from. trained_on : keys of every case that it or an ancestor
    was trained on. settings : of the training. measures : name → number, as measured when it was made (``before_…`` for the
    parent's). method : ``initial``, ``continued``, ``similar``, ``subset``, ``fitted`` or ``foreign``. training_data : the public
    data sets that it or an ancestor was trained on, with their licences, as far as they are stated.
    """

    method: str = "initial"
    parent: str | None = None
    parent_name: str | None = None
    trained_on: frozenset[str] = frozenset()
    refined_on: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    training_data: tuple[TrainingData, ...] = ()

    def measured(self, **measures: float) -> Lineage:
        return replace(self, measures={**self.measures, **measures})

    def to_toml(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "method": self.method,
            "settings": dict(self.settings),
            "measures": dict(self.measures),
        }
        if self.parent:
            document |= {"parent": self.parent, "parent_name": self.parent_name or ""}
        if self.refined_on:
            document["refined_on"] = list(self.refined_on)
        if self.training_data:
            document["training_data"] = [one.to_toml() for one in self.training_data]
        return document
