"""Import: which files there are, what is known of each, and how they enter the catalogue."""
