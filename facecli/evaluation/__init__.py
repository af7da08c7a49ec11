"""Protocols that measure a model on photos."""
