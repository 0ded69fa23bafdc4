"""Data of the page: rounded numbers, printable text, quantised arrays in the order of the classes."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.audit.page.page_data import page_data, shortened

from .runs import audited


def test_numbers_have_four_digits_and_text_is_printable() -> None:
    found = shortened({"a": [0.123456, 1234567.0, (2, None)], "b": {"c": "two\nlines\x1b"}, "d": True})
    assert found["a"] == [0.1235, 1235000.0, [2, None]] and found["d"] is True
    assert found["b"]["c"].isprintable() and found["b"]["c"] != "two\nlines\x1b"


def test_arrays_are_in_the_order_of_the_groups(tmp_path: Path) -> None:
    audit, _ = audited(tmp_path)
    order = np.random.default_rng(0).permutation(15)
    arrays = audit.arrays
    shuffled = {name: vars(arrays)[name][order] for name in ("row", "group", "cluster", "embedding", "self_confidence")}
    data = page_data(replace(audit, arrays=replace(arrays, **shuffled)), [], 1.0, folder=None)["arrays"]
    assert data["groups"] == {"number": [0, 1, 2], "count": [5, 5, 5]}
    rows = np.frombuffer(base64.b64decode(data["row"]), np.uint32).reshape(3, 5)
    assert [sorted(own) for own in rows.tolist()] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]
    cluster = np.frombuffer(base64.b64decode(data["cluster"]), np.uint8).reshape(3, 5)
    assert (cluster[:2] == 255).all() and sorted(cluster[2]) == [0, 0, 0, 1, 1]
