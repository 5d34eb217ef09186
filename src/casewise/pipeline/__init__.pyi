from .analyzer import Analyzer as Analyzer
from .analyzer import Failure as Failure
