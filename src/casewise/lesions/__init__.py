"""Lesions of one examination: where they are by each sequence and by all together, what they are, how large, and where in mm."""

from casewise.lesions.examinations import labelled, labelled_cases
from casewise.lesions.postprocessing import Lesion, Lesions
from casewise.lesions.prediction import predict
from casewise.lesions.training import Plan, train_lesions

__all__ = ["Lesion", "Lesions", "Plan", "labelled", "labelled_cases", "predict", "train_lesions"]
