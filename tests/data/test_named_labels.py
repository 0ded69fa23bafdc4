"""Labels given as text: numbers are class numbers, names are sorted as class folders are."""

import numpy as np

from pipeline.data.image_paths import ImagePaths
from pipeline.data.named_labels import LabelEncoder, unlabelled_index

PATHS = ImagePaths.from_bytes(b"%d.jpg" % number for number in range(5))


def test_names_get_the_numbers_of_sorted_folders() -> None:
    encoder = LabelEncoder()
    index = encoder.index(PATHS, encoder.encode([b"owl", b"cat", b"owl", b"2", b"cat"]), np.arange(5))
    assert index.folders == ["2", "cat", "owl"]
    assert index.folder.tolist() == [2, 1, 2, 0, 1] and index.folder.dtype == np.int32
    assert index.label is None and index.archive is not None and index.archive.tolist() == [0, 1, 2, 3, 4]


def test_whole_numbers_are_class_numbers_in_numeric_value() -> None:
    encoder = LabelEncoder()
    index = encoder.index(PATHS, encoder.encode([b"10", b"9", b"010", b"0", b"9"]))
    assert index.label is not None and index.label.tolist() == [10, 9, 10, 0, 9] and index.label.dtype == np.int32
    assert index.folders == ["0", "010", "10", "9"]


def test_a_number_beyond_int32_or_a_sign_makes_names() -> None:
    for odd in (b"1234567890", b"-1", b"1.0"):
        encoder = LabelEncoder()
        assert encoder.index(PATHS, encoder.encode([b"1", b"2", b"3", b"4", odd])).label is None


def test_blocks_are_encoded_as_the_whole() -> None:
    labels = [b"b", b"a", b"c", b"a", b"b"]
    whole, blocks = LabelEncoder(), LabelEncoder()
    codes = np.concatenate([blocks.encode(labels[:2]), blocks.encode(labels[2:])])
    assert codes.tolist() == whole.encode(labels).tolist()
    assert blocks.index(PATHS, codes).folder.tolist() == [1, 0, 2, 0, 1]


def test_names_keep_bytes_that_are_no_utf8() -> None:
    encoder = LabelEncoder()
    assert encoder.index(PATHS, encoder.encode([b"\xff"] * 5)).folders == ["\udcff"]


def test_unlabelled() -> None:
    index = unlabelled_index(PATHS)
    assert index.folder.tolist() == [-1] * 5 and index.folder.dtype == np.int32
    assert (index.folders, index.label, index.archive) == ([], None, None)


def test_unicode_forms_of_one_label_are_one_label() -> None:
    composed, decomposed = "caf\u00e9".encode(), "cafe\u0301".encode()
    encoder = LabelEncoder()
    index = encoder.index(PATHS, encoder.encode([b"owl", composed, decomposed, b"cat", composed]))
    assert index.folders == ["cafe\u0301", "cat", "owl"] and index.folder.tolist() == [2, 0, 0, 1, 0]
