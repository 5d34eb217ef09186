from .description import describe as describe
from .running import run as run
