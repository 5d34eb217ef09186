from .model import Model as Model
from .prediction import Prediction as Prediction
from .prediction import blend as blend
from .preparation import Preparation as Preparation
from .registry import load as load
from .spec import Lineage as Lineage
from .spec import Spec as Spec
