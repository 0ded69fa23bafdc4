import importlib.util
import os
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from pipeline.data.decode import read_image
from pipeline.data.demo_photographs import DEMO_PHOTOGRAPHS, demo_index, write_demo_photographs
from pipeline.data.image_index import index_folder
from pipeline.errors import MissingExtra


def test_the_index_is_that_of_the_folder(photographs: Path) -> None:
    known, listed = demo_index(), index_folder(photographs)
    assert list(known.paths) == list(listed.paths)
    assert known.folders == listed.folders
    assert known.folder.tolist() == listed.folder.tolist()
    assert known.folder.dtype == listed.folder.dtype


def test_all_are_photographs(photographs: Path) -> None:
    for path in demo_index().paths:
        assert min(read_image(photographs / os.fsdecode(path)).size) >= 224


def test_each_has_a_licence_and_an_author() -> None:
    for photograph in DEMO_PHOTOGRAPHS:
        assert photograph.licence in {"CC0", "CC BY 2.0", "public domain"}
        assert photograph.credit


def test_nothing_but_photographs_is_written(photographs: Path) -> None:
    files = [path for path in photographs.rglob("*") if path.is_file()]
    assert len(files) == len(DEMO_PHOTOGRAPHS)


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    write_demo_photographs(tmp_path / "new/folder")
    first = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_demo_photographs(tmp_path / "new/folder")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == first


def test_a_removed_photograph_is_written_again(tmp_path: Path) -> None:
    write_demo_photographs(tmp_path)
    coffee = tmp_path / "n07920052/coffee.png"
    content = coffee.read_bytes()
    coffee.unlink()
    write_demo_photographs(tmp_path)
    assert coffee.read_bytes() == content


def without(module: str) -> Callable[[str], ModuleSpec | None]:
    find_spec = importlib.util.find_spec
    return lambda name: None if name == module else find_spec(name)


@pytest.mark.parametrize("module", ["skimage", "sklearn", "matplotlib"])
def test_a_missing_package(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", without(module))
    with pytest.raises(MissingExtra, match=r"the photograph .* needs the extra 'demo'"):
        write_demo_photographs(tmp_path)
