"""People and their templates in SQLite: the only SQL of the program, beside its migrations."""

from facecli.stores.gallery.store import Gallery

__all__ = ["Gallery"]
