"""Paths and class names beside the numbers of a table."""

import numpy as np

from pipeline.store.text_columns import text_columns
from tests.store import synthetic


def test_each_row_has_its_path_and_names() -> None:
    columns = {"index": [13, 2, 13], "label": [3, -1, 3], "target": [-1, 0, 1], "predicted": [4, 4, 0]}
    texts = text_columns(synthetic.manifest(), {name: np.array(values) for name, values in columns.items()})
    assert texts["path"].tolist() == [f"/data/class{n % 5}/image{n:04d}.png" for n in (13, 2, 13)]
    assert texts["label_name"].tolist() == ["class 3", "", "class 3"]
    assert texts["target_name"].tolist() == ["", "class 0", "class 1"]
    assert texts["predicted_name"].tolist() == ["class 4", "class 4", "class 0"]
    assert {values.dtype.kind for values in texts.values()} == {"U"}
