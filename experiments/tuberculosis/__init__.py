"""Tuberculosis from one hospital's films to another's."""
