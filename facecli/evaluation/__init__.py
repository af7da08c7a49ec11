"""Measure a model on photos, by protocols from the literature."""
