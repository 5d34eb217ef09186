from .running import run as run
from .telling import describe as describe
