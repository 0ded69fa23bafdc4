import numpy as np
import pytest

from pipeline.errors import Failure, StoreError
from pipeline.store.schema import SCHEMA_VERSION, Rows, check_version, fingerprint
from tests.store import synthetic


def test_join_sorts_by_image_and_keeps_the_order_of_targets():
    parts = [synthetic.rows(images, targets=3) for images in ([9, 8], [3, 1], [4])]
    joined = Rows.join(parts)
    assert joined.columns["index"].tolist() == [1] * 3 + [4] * 3 + [8] * 3 + [9] * 3
    assert joined.columns["target"].tolist() == [2, 1, 0] * 4
    assert [failure.index for failure in joined.failures] == [3]
    assert joined.images.tolist() == [1, 3, 4, 8, 9]


def test_join_of_failures_alone_and_of_nothing():
    assert Rows.join([synthetic.rows([20]), synthetic.rows([7])]).images.tolist() == [7, 20]
    assert len(Rows.join([])) == 0


def test_of_keeps_rows_and_failures_of_the_images_asked():
    some = synthetic.rows([2, 3, 4, 7], targets=2).of(np.array([3, 4]))
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
    good.check()
    with pytest.raises(ValueError, match=f"column {name}"):
        Rows({**good.columns, name: values}).check()


def test_a_missing_column_is_refused():
    columns = synthetic.rows([1]).columns
    del columns["scale"]
    with pytest.raises(ValueError, match="scale"):
        Rows(columns).check()


def test_the_fingerprint_is_of_the_content_not_of_its_order():
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_newer_schema_is_one_clear_line():
    check_version(SCHEMA_VERSION, "x.h5")
    with pytest.raises(StoreError, match=r"^x\.h5 has store schema 4, this version reads up to 3: pip.*$"):
        check_version(SCHEMA_VERSION + 1, "x.h5")
