"""Adaptation: the model refined on the cases most like an image, the models of precomputed subsets, and the rule that decides."""

from casewise.adaptation.refinement import Plan, Refinement
from casewise.adaptation.rule import Rule
from casewise.adaptation.similar import SimilarRefinement, refine, usable_cases

__all__ = ["Plan", "Refinement", "Rule", "SimilarRefinement", "refine", "usable_cases"]
