"""Breast ultrasound: pictures of two copies of one set, and the classifier that is fitted to them."""
