from pathlib import Path

import pytest

from pipeline.data.demo_photographs import lay_demo


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the demo's photographs."""
    folder = tmp_path_factory.mktemp("photographs")
    lay_demo(folder)
    return folder
