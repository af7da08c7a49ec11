"""Photos sorted into people: looking at photos, clusters, corrections, folders and sidecars."""
