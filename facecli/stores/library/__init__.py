"""What was seen in photos, so that none is looked at twice: faces, chips and embeddings."""

from facecli.stores.library.store import Library
from facecli.stores.library.types import (
    FileState,
    LibraryStatistics,
    PhotosForgotten,
    RememberedPhoto,
)

__all__ = ["FileState", "Library", "LibraryStatistics", "PhotosForgotten", "RememberedPhoto"]
