"""Find two public-domain portraits inside common packages, without importing the packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from facecli.errors import MissingExtra


def grace_hopper() -> Path:
    """Return matplotlib's portrait of Grace Hopper (United States Navy, 1984).

    Raises MissingExtra if matplotlib is not installed.
    """
    return _packaged("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


def eileen_collins() -> Path:
    """Return scikit-image's portrait of Eileen Collins (NASA, 1990s).

    Raises MissingExtra if scikit-image is not installed.
    """
    return _packaged("skimage", "data/astronaut.png")


def _packaged(package: str, path: str) -> Path:
    # Finding a package runs none of its code; importing these two takes seconds.
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        portrait = Path(folder) / path
        if portrait.is_file():
            return portrait
    raise MissingExtra(f"the portrait in {package} is missing: pip install 'facecli[demo]'")
