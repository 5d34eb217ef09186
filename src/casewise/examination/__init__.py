"""The examination: the sequences of one MR study on one grid, normalised."""
