"""What was seen in photos, so that none is looked at twice: faces, chips and embeddings."""

from facecli.library.records import FileState, Known, LibraryStatistics, PhotosForgotten
from facecli.library.store import Library

__all__ = ["FileState", "Known", "Library", "LibraryStatistics", "PhotosForgotten"]
