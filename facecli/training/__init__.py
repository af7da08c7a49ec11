"""Training: chips in, a model with its card and an honest comparison out."""
