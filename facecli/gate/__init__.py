"""The gate: it takes frames and makes one decision about each appearance of a face."""
