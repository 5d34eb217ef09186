"""How pynetdicom is set up in this process: once, and before anything else is asked of it."""

from __future__ import annotations

import functools
import logging

VERIFICATION = "1.2.840.10008.1.1"  # the class of C-ECHO
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"  # the transfer syntaxes without compression, little endian
PENDING = (0xFF00, 0xFF01)  # statuses of an answer after which more come
MOST_PDU = 1 << 18  # bytes of a protocol data unit that is accepted; larger ones cost less time an instance, and memory


@functools.cache
def prepared() -> None:
    """Silence what would write patients' data to a log, and take in objects of every class and transfer syntax."""
    from pynetdicom import _config

    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.UNRESTRICTED_STORAGE_SERVICE = True
