from .archive import Archive as Archive
from .ingest.report import ImportReport as ImportReport
from .ingest.report import Refused as Refused
from .selection import Selection as Selection
