from .analyzer import Analyzer as Analyzer
from .analyzer import Failure as Failure
from .call import analyze as analyze
from .call import open_analyzer as open_analyzer
