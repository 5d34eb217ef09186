"""That a measure cannot be made of an image: no fault of the application, and none of the image's."""

from __future__ import annotations

from casewise.errors import CasewiseError

UNKNOWN = "unknown"  # category of an image that nobody routed, or that the router did not recognise


class NotMeasuredError(CasewiseError):
    """An image that an application which only measures cannot measure; the message says why.

    Where the router sent the image there, a report has the message as a note. Whoever named the application gets it as its failure.
    """
