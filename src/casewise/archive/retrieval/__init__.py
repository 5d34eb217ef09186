"""Retrieval: latent vectors, exact and indexed search, similarity of content, and clusters."""
