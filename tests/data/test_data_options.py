"""Options of the group ``data``, read from a composed configuration."""

import pytest

from pipeline.data.data_options import DataOptions, TransformOptions
from tests.conftest import Compose


@pytest.mark.parametrize("data", ["folder", "webdataset", "huggingface"])
def test_the_defaults_of_every_kind_are_read(data: str, compose: Compose) -> None:
    config, _ = compose(f"data={data}")
    options = DataOptions.from_node(config["data"])
    assert (options.root, options.classes, options.labels, options.max_failed) == (None, None, True, 0.01)
    assert options.transform == TransformOptions(None, None, None, None, None) and options.transform.given() == {}


def test_a_class_of_digits_is_a_name_and_list_is_the_list_file(compose: Compose) -> None:
    config, _ = compose("data.classes=[9,cat]", "data.list=val.txt", "data.transform.crop=32")
    options = DataOptions.from_node(config["data"])
    assert options.classes == ["9", "cat"] and options.list_file == "val.txt"
    assert options.transform.given() == {"crop": 32}
