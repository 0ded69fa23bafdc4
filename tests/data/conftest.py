from pathlib import Path

import pytest

from pipeline.data.demo_photographs import write_demo_photographs


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    write_demo_photographs(folder)
    return folder
