"""Routing: the pixels say what an image shows, and so which applications look at it."""
