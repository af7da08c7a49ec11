"""The gate: frames in, one decision per appearance out."""
