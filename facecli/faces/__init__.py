"""A picture becomes faces, chips and embeddings; imports no network."""
