"""Arithmetic on unit vectors: squared L2, exact search, nearest by owner."""
