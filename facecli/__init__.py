"""Face verification, identification, enrollment and clustering from the command line."""

__version__ = "0.3.0"
