"""A file for each shipped model: the one command that remakes it."""
