"""A world whose truth is known, at any size."""
