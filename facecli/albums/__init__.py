"""Photos nobody named: looked at once, sorted into people, corrected, written out."""
