"""Training: the one loop, and the initial models made with it."""

from casewise.training.fit import Settings, fit
from casewise.training.initial import Input, train_classifier, train_segmenter
from casewise.training.metrics import dice, measure
from casewise.training.split import split

__all__ = ["Input", "Settings", "dice", "fit", "measure", "split", "train_classifier", "train_segmenter"]
