import numpy as np
import pytest

from pipeline.errors import Failure, StoreError
from pipeline.store.schema import SCHEMA_VERSION, Rows, check_version, fingerprint
from tests.store import synthetic


def test_concatenate_sorts_by_image_and_keeps_the_order_of_targets():
    parts = [synthetic.rows(images, targets=3) for images in ([9, 8], [3, 1], [4])]
    rows = Rows.concatenate(parts)
    assert rows.columns["index"].tolist() == [1] * 3 + [4] * 3 + [8] * 3 + [9] * 3
    assert rows.columns["target"].tolist() == [2, 1, 0] * 4
    assert [failure.index for failure in rows.failures] == [3]
    assert rows.images.tolist() == [1, 3, 4, 8, 9]


def test_concatenate_failures_alone_and_nothing():
    assert Rows.concatenate([synthetic.rows([20]), synthetic.rows([7])]).images.tolist() == [7, 20]
    assert len(Rows.concatenate([])) == 0


def test_select_images_keeps_their_rows_and_failures():
    some = synthetic.rows([2, 3, 4, 7], targets=2).select_images(np.array([3, 4]))
    assert some.columns["index"].tolist() == [4, 4]
    assert some.failures == [Failure(3, "read", "image 3 is broken")]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("score", np.zeros(2)),
        ("score", np.zeros(3, np.float32)),
        ("crop", np.zeros((2, 5), np.int32)),
        ("prediction", np.zeros(2, np.float32)),
        ("attribution", np.zeros(2, np.float32)),
        ("attribution", np.zeros((2, 3), np.int16)),
    ],
)
def test_a_wrong_column_is_refused_by_name(name, values):
    good = synthetic.rows([1, 2])
    good.validate()
    with pytest.raises(ValueError, match=f"column {name}"):
        Rows({**good.columns, name: values}).validate()


def test_a_missing_column_is_refused():
    columns = synthetic.rows([1]).columns
    del columns["scale"]
    with pytest.raises(ValueError, match="scale"):
        Rows(columns).validate()


def test_the_fingerprint_does_not_depend_on_the_order_of_keys():
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_newer_schema_is_one_clear_line():
    check_version(SCHEMA_VERSION, "x.h5")
    with pytest.raises(StoreError, match=r"^x\.h5 has store schema 4, this version reads up to 3: pip.*$"):
        check_version(SCHEMA_VERSION + 1, "x.h5")
