"""Detectors, encoders and their cards; the networks that ship: one file each, with its card."""

DIMENSION = 128
"""Numbers in an embedding of the networks that facecli trains; others say theirs on their card."""
