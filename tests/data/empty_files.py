"""Empty files in folders, for tests of listings, which open none."""

import os
from pathlib import Path


def touch_files(root: Path, *names: str | bytes) -> Path:
    """Creates empty files below a folder, which is returned."""
    for name in names:
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root
