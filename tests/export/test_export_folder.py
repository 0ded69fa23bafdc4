"""A folder belongs to one export: the same one resumes in it, any other is refused."""

import json
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import UsageError
from pipeline.export.export_folder import FILE, claim
from pipeline.export.run_excerpt import Excerpt
from tests.export.conftest import WriteRun


@pytest.fixture
def excerpt(write_run: WriteRun) -> Excerpt:
    return Excerpt.of(pipeline.open_run(write_run()), 3)


def test_the_same_export_may_claim_again_and_its_temporary_files_are_removed(excerpt: Excerpt, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    claim(folder, excerpt, "npz")
    first = (folder / FILE).read_bytes()
    (folder / "parts").mkdir()
    orphans = [folder / ".rows.npz.0123456789abcdef", folder / "parts" / ".map.h5.0123456789abcdef"]
    (folder / "rows.npz").touch()
    claim(folder, excerpt, "npz")
    assert (folder / FILE).read_bytes() == first and (folder / "rows.npz").exists()
    assert json.loads(first)["rows"] == 3
    assert not any(orphan.exists() for orphan in orphans)


def test_another_format_run_or_selection_is_refused(excerpt: Excerpt, tmp_path: Path) -> None:
    claim(tmp_path / "out", excerpt, "npz")
    others = [(excerpt, "png"), (Excerpt.of(excerpt.run), "npz"), (Excerpt.of(excerpt.run.where(label=1), 3), "npz")]
    for other, format in others:
        with pytest.raises(UsageError, match="has another export"):
            claim(tmp_path / "out", other, format)
    claim(tmp_path / "out", excerpt, "npz")


def test_a_damaged_claim_is_refused(excerpt: Excerpt, tmp_path: Path) -> None:
    claim(tmp_path / "out", excerpt, "npz")
    (tmp_path / "out" / FILE).write_text("{")
    with pytest.raises(UsageError, match=r"export\.json is damaged: remove"):
        claim(tmp_path / "out", excerpt, "npz")


def test_a_folder_of_an_object_store_is_refused(excerpt: Excerpt) -> None:
    from pipeline.system.remote import to_path

    with pytest.raises(UsageError, match="needs a local folder"):
        claim(to_path("memory://out"), excerpt, "npz")
