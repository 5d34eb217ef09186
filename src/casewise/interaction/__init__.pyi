from .fine_tuning import FineTuning as FineTuning
from .session import InteractiveSegmentation as InteractiveSegmentation
