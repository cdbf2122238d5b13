"""Readers of labelled sets, one file each."""
