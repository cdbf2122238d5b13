"""Latent factors of users and projects from the pruned matrix."""
