"""Detection of small findings: what lies between segments and the findings that are told of them."""
