"""A gallery in a SQLite file, the engine that needs no server."""
