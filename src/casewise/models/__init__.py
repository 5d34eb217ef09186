"""Models: a network, its weights and its origin; how they are kept, loaded and used."""

from casewise.models.model import Model
from casewise.models.prediction import Prediction, blend
from casewise.models.preparation import Preparation
from casewise.models.spec import Lineage, Spec

__all__ = ["Lineage", "Model", "Prediction", "Preparation", "Spec", "blend"]
