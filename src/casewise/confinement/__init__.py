"""Foreign code runs in processes that the kernel holds: to their own folder, to their own processes, to no other's signals.

:class:`Confined` starts one under a supervisor. What holds depends on the system; :func:`protections` says which of it does here.
"""

from casewise.confinement.launching import Confined
from casewise.confinement.protections import Protections, protections
from casewise.confinement.supervisor import Plan

__all__ = ["Confined", "Plan", "Protections", "protections"]
