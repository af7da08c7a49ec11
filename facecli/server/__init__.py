"""The service: the same commands over HTTP, on a page, and warm for the command line."""
