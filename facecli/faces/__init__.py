"""Turn pictures into faces, chips and embeddings. This room imports no network."""
