"""Training: the one loop, and the initial models made with it."""

from casewise.models.tasks import Batch
from casewise.training.batches import Batches, CaseBatches
from casewise.training.fit import fit
from casewise.training.initial import Input, train_classifier, train_segmenter
from casewise.training.metrics import dice, measure
from casewise.training.objectives import Objective, TaskObjective
from casewise.training.settings import Settings
from casewise.training.split import split

__all__ = [
    "Batch",
    "Batches",
    "CaseBatches",
    "Input",
    "Objective",
    "Settings",
    "TaskObjective",
    "dice",
    "fit",
    "measure",
    "split",
    "train_classifier",
    "train_segmenter",
]
