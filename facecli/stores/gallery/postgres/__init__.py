"""A gallery in a PostgreSQL database with pgvector, for many programs on many machines."""
