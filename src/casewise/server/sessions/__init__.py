"""Interactive sessions: one person and a model outline structures in one image; saved after each round, resumed exactly."""

from casewise.server.sessions.drawing import Drawing
from casewise.server.sessions.orders import Known
from casewise.server.sessions.registry import Sessions
from casewise.server.sessions.session import Answered, Session, StaleRoundError, UnknownSessionError

__all__ = ["Answered", "Drawing", "Known", "Session", "Sessions", "StaleRoundError", "UnknownSessionError"]
