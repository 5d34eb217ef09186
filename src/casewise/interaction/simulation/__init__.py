"""Simulated interaction: a simulated user, and training with it in pictures and volumes."""
