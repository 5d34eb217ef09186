"""What the log of requests leaves out: searches (they may hold a patient's name) and secrets in addresses."""

from __future__ import annotations

import logging
import re

_SECRET = re.compile(r"(/login/once/)[^/? ]+")


class WithoutSecrets(logging.Filter):
    """For uvicorn's access log, whose arguments are (client, method, path with query, HTTP version, status)."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == 5:
            client, method, path, *rest = record.args
            record.args = (client, method, _SECRET.sub(r"\1…", str(path).partition("?")[0]), *rest)
        return True
