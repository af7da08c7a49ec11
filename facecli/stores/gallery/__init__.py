"""Who is enrolled: names, checks and messages that every storage engine shares, and the engines."""
