from pathlib import Path

import numpy as np
import pytest

from pipeline.data import list_file
from pipeline.data.find_images import find_labels
from pipeline.data.image_index import sample
from pipeline.data.list_file import read_list
from pipeline.errors import UsageError
from tests.data.options import data_options

DATA = data_options()


def write_list(folder: Path, text: bytes) -> str:
    (folder / "list.txt").write_bytes(text)
    return str(folder / "list.txt")


def test_paths_in_the_order_of_the_list_with_class_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_file, "_BLOCK_LINES", 2)
    index = read_list(write_list(tmp_path, b"b/2.jpg\t7\na b/\xff.jpg\t10\r\n1.jpg\t 7\n"))
    assert list(index.paths) == [b"b/2.jpg", b"a b/\xff.jpg", b"1.jpg"]
    assert find_labels(index, DATA, 11).tolist() == [7, 10, 7]
    with pytest.raises(UsageError, match=r"label 10, expected 0 to 9"):
        find_labels(index, DATA, 10)


def test_names_and_folders_are_classes_as_class_folders_are(tmp_path: Path) -> None:
    named = read_list(write_list(tmp_path, b"1.jpg\tdog\n2.jpg\tcat\n3.jpg\tdog"))
    assert (named.folders, find_labels(named, DATA, 2).tolist()) == (["cat", "dog"], [1, 0, 1])
    below = read_list(write_list(tmp_path, b"owl/1.jpg\ncat/2.jpg\nowl/x/3.jpg\n"))
    assert (below.folders, find_labels(below, DATA, 2).tolist()) == (["cat", "owl"], [1, 0, 1])
    with pytest.raises(UsageError, match="2 class folders"):
        find_labels(below, DATA, 3)
    numbers = read_list(write_list(tmp_path, b"9/1.jpg\n10/2.jpg\n009/x/3.jpg\n"))
    assert find_labels(numbers, DATA, 12).tolist() == [9, 10, 9]
    with pytest.raises(UsageError, match="'10' out of range, the model has the classes 0 to 9"):
        find_labels(numbers, DATA, 10)


def test_without_labels(tmp_path: Path) -> None:
    index = read_list(write_list(tmp_path, b"1.jpg\t3\n2.jpg\t4\n"), labels=False)
    assert (list(index.paths), index.folder.tolist(), index.label) == ([b"1.jpg", b"2.jpg"], [-1, -1], None)


def test_a_sample_of_a_list_in_any_order(tmp_path: Path) -> None:
    index = read_list(write_list(tmp_path, b"".join(b"%d.jpg\t%d\n" % (number, number % 3) for number in range(9))))
    some = sample(index, per_class=2, classes=["0", "2"])
    assert list(some.paths) == [b"0.jpg", b"2.jpg", b"3.jpg", b"5.jpg"]
    assert some.label is not None and some.label.dtype == np.int32 and some.label.tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"a/1.jpg\n\na/2.jpg\n", "line 2: there is no path"),
        (b"a/1.jpg\n/etc/x.jpg\n", "line 2: b'/etc/x.jpg' is not relative"),
        (b"a/1.jpg\ns3://b/x.jpg\n", "line 2: .* is not relative"),
        (b"a/1.jpg\na/2.jpg\na/../../x.jpg\n", "line 3: .* leads out of data.root"),
        (b"a/1.jpg\t1\na/2.jpg\n", "line 2: a label after a TAB must be on all lines or on none"),
        (b"a/1.jpg\na/2.jpg\t1\n", "line 2: a label after a TAB must be on all lines or on none"),
        (b"a/1.jpg\n2.jpg\n", "line 2: neither a label after a TAB nor a class folder"),
        (b"a/1.jpg\t1\na/2.jpg\t \n", "line 2: neither a label"),
        (b"a/1.jpg 3\n", r"line 1: b'a/1\.jpg 3' is no path .* b' 3' follows b'a/1\.jpg'; a TAB separates"),
        (b"path,label\na b/1.JPEG, cat\n", r"line 2: .* b', cat' follows b'a b/1\.JPEG'"),
        (b"a/1.jpg;3\n", "b';3' follows"),
        (b"a/1.jpg \n", "b' ' follows"),
        (b"a/1.jpg\t3\na/2.jpg 4\n", "line 2: a label after a TAB must be on all lines or on none: b' 4' follows"),
        (b"3\ta/1.jpg\n", "the path comes first"),
        (b"a\\1.jpg\n", "has a backslash: folders are separated by /"),
        ("a/1.jpg\n".encode("utf-16"), "line 1: the file is in UTF-16: save it as UTF-8"),
        (b"a/1.jpg\nb/1.jpg\nb/2.jpg\nb/1.jpg\n", "line 4: b'b/1.jpg' is on line 2 already"),
    ],
)
def test_an_invalid_line_is_named_by_its_number(tmp_path: Path, text: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_list(write_list(tmp_path, text))


def test_a_byte_order_mark_and_the_dot_of_find_are_no_part_of_a_name(tmp_path: Path) -> None:
    index = read_list(write_list(tmp_path, b"\xef\xbb\xbfcat/1.jpg\n./dog/2.jpg\ncat/a b, c.jpg\ndog/no_extension\n"))
    assert list(index.paths) == [b"cat/1.jpg", b"./dog/2.jpg", b"cat/a b, c.jpg", b"dog/no_extension"]
    assert (index.folders, index.folder.tolist()) == (["cat", "dog"], [0, 1, 0, 1])


def test_a_missing_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.txt cannot be read: No such file"):
        read_list(str(tmp_path / "no.txt"))
