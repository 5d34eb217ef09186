"""Applications: what looks at an image and says what it found."""

from casewise.applications.contract import Application
from casewise.applications.organs import Organs, class_findings, findings_of, structure_findings

__all__ = ["Application", "Organs", "class_findings", "findings_of", "structure_findings"]
