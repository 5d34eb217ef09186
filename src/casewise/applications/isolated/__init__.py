"""The applications of a route run side by side, each in a process of its own with limits of time and memory.

:class:`Runner` starts them and keeps them for the next image; a ``Job`` is an image with its applications, a ``Ran`` what came of
it: for each application ``Done`` with its findings, or ``Failure`` with one sentence why there are none.
"""

from casewise.applications.isolated.outcome import ApplicationError, Done, Failure, Job, Outcome, Ran
from casewise.applications.isolated.runner import Runner

__all__ = ["ApplicationError", "Done", "Failure", "Job", "Outcome", "Ran", "Runner"]
