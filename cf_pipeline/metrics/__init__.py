"""Measures and intervals: arrays in, arrays out."""
