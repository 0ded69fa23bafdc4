"""Recursive listings, local and of an object store: links, hidden files, extensions."""

import os
from pathlib import Path

import pytest

from pipeline.data.file_tree import LocalTree, RemoteTree, _extension, open_tree
from pipeline.data.image_index import index_folder
from pipeline.errors import UsageError
from pipeline.system.remote import file_system
from tests.data.empty_files import touch_files

EXTENSIONS = {b".jpg", b".png"}
NAMES = ["1.jpg", "a/2.PNG", "a/deep/3.jpg", "b/4.jpg", "b.jpg/5.jpg", "6.txt", "a/.7.jpg", "a/.cache/8.jpg", ".jpg"]


def listing(root: str) -> tuple[list[bytes], list[bytes], list[bytes]]:
    tree = open_tree(root, EXTENSIONS)
    folders, files = tree.list_top()
    return sorted(folders), sorted(files), sorted(tree.list_below(folders))


def test_a_local_and_a_remote_tree_list_the_same(tmp_path: Path) -> None:
    touch_files(tmp_path, *NAMES)
    system, _ = file_system("memory://")
    for name in NAMES:
        system.pipe_file(f"/file-tree/{name}", b"")
    assert isinstance(open_tree(str(tmp_path), EXTENSIONS), LocalTree)
    assert isinstance(open_tree("memory://file-tree", EXTENSIONS), RemoteTree)
    expected = (
        [b"a", b"b", b"b.jpg"],
        [b"1.jpg"],
        [b"a/2.PNG", b"a/deep/3.jpg", b"b.jpg/5.jpg", b"b/4.jpg"],
    )
    assert listing(str(tmp_path)) == listing("memory://file-tree") == expected


def test_only_requested_folders_are_listed(tmp_path: Path) -> None:
    touch_files(tmp_path, "a/1.jpg", "b/2.jpg", "c/d/3.jpg")
    assert sorted(LocalTree(str(tmp_path), EXTENSIONS).list_below([b"a", b"c"])) == [b"a/1.jpg", b"c/d/3.jpg"]


def test_a_missing_remote_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot list 'memory://nowhere'"):
        open_tree("memory://nowhere", EXTENSIONS).list_top()


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    root, elsewhere = (
        touch_files(tmp_path / "root", "a/1.jpg"),
        touch_files(tmp_path / "elsewhere", "2.jpg", "deep/3.jpg"),
    )
    (root / "b").symlink_to(elsewhere)
    (root / "a/linked.jpg").symlink_to(elsewhere / "2.jpg")
    (root / "a/dangling.jpg").symlink_to("nowhere.jpg")
    (root / "a/itself.jpg").symlink_to("itself.jpg")
    assert listing(str(root))[2] == [
        b"a/1.jpg", b"a/dangling.jpg", b"a/itself.jpg", b"a/linked.jpg", b"b/2.jpg", b"b/deep/3.jpg",
    ]  # fmt: skip


@pytest.mark.parametrize("labels", [True, False])
def test_link_loops_are_cut(labels: bool, tmp_path: Path) -> None:
    root = touch_files(tmp_path / "root", "a/1.jpg", "a/deep/2.jpg")
    (root / "loop").symlink_to(root)
    (root / "a/deep/up").symlink_to("..")
    (root / "a/deep/here").symlink_to(".")
    (root / "a/top").symlink_to(root)
    index = index_folder(root, labels)
    assert list(index.paths) == [b"a/1.jpg", b"a/deep/2.jpg"]
    assert index.folders == (["a"] if labels else [])


@pytest.mark.parametrize("name", [b"a.jpg", b"A.JPG", b".hidden", b"a.tar.gz", b"folder.d/name", b"name.", b""])
def test_the_extension_is_that_of_os_path_splitext(name: bytes) -> None:
    assert _extension(name) == os.path.splitext(name)[1].lower()  # noqa: PTH122
