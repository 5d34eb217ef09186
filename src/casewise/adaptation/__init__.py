"""Adaptation: the model refined on the cases most like an image, the models of precomputed subsets, and the rule that decides."""

from casewise.adaptation.acceptance import AcceptanceRule
from casewise.adaptation.refinement import Plan, Refinement
from casewise.adaptation.similar import SimilarRefinement, refine, usable_cases

__all__ = ["AcceptanceRule", "Plan", "Refinement", "SimilarRefinement", "refine", "usable_cases"]
