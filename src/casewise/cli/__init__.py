"""The command line: one file a command, each a thin call of the library."""

from casewise.cli.app import main

__all__ = ["main"]
