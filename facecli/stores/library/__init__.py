"""What was seen in photos: faces, chips and embeddings, so that no photo is searched twice."""

from facecli.stores.library.store import Library
from facecli.stores.library.types import (
    FileState,
    LibraryStatistics,
    PhotosForgotten,
    RememberedPhoto,
)

__all__ = ["FileState", "Library", "LibraryStatistics", "PhotosForgotten", "RememberedPhoto"]
