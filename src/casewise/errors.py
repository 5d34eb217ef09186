"""What casewise says to its users when something cannot be done.

Every message is one sentence (or two) that says what is wrong, what is allowed, and how to mend it. The command line prints the
message alone, never a traceback, for any :class:`CasewiseError`.
"""


class CasewiseError(Exception):
    """Base of every error that a user can cause and mend."""


class UnreadableImageError(CasewiseError):
    """A file or folder cannot be read as an image."""


class ArchiveError(CasewiseError):
    """An archive is missing, damaged, of another version, or cannot be written."""


class ModelError(CasewiseError):
    """A model's folder or file is missing, damaged, or not usable for the task at hand."""


class UsageError(CasewiseError):
    """A call whose options cannot go together (exit code 2 on the command line)."""


class NothingKnownError(UsageError):
    """Cases are to be compared by content, and nothing is known of the image that is known of one of them."""
