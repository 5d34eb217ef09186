"""What recipes and benchmarks share: data sets as cases, splits, trainings, and the rows that are measured.

A recipe makes a shipped model, a benchmark writes a page of ``benchmarks/results``; neither imports the other.
"""
