"""Run commands of the same user in a warm process."""
