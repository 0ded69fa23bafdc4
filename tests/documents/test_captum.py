"""docs/captum.md: every proof that it names is a test."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "captum.md").read_text()


@pytest.mark.parametrize(("file", "test"), sorted(set(re.findall(r"`([\w/]+\.py)::(test_\w+)", PAGE))))
def test_proof_exists(file: str, test: str) -> None:
    path = ROOT / file if file.startswith("tests/") else ROOT / "tests" / "methods" / file
    assert f"\ndef {test}(" in path.read_text()
