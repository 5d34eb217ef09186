from .contract import Application as Application
from .organs import Organs as Organs
from .organs import class_findings as class_findings
from .organs import findings_of as findings_of
from .organs import structure_findings as structure_findings
