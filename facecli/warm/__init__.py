"""A warm process that runs commands of the same user."""
