"""Each range is of an option that exists, and admits its packaged default."""

import pytest

from pipeline.errors import UsageError
from pipeline.run.option_ranges import RANGES, check_ranges
from pipeline.system.configuration import conf_folder, flatten
from pipeline.system.packaged_options import MANDATORY, packaged_choices, packaged_defaults

COMPOSED = [
    packaged_defaults({**packaged_choices(), group.name: file.stem})
    for group in conf_folder().iterdir()
    for file in group.glob("*.yaml")
]
"""The defaults with each file of each group in turn."""


def test_each_range_is_of_an_option() -> None:
    options = {name for config in COMPOSED for name in flatten(config)}
    assert set(RANGES) <= options


def test_defaults_are_in_their_ranges() -> None:
    for config in COMPOSED:
        if config["launch"]["workers"] == MANDATORY:
            config["launch"]["workers"] = 1
        check_ranges(config)


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("seed", [0, 7], [-1, True, 1.5, None]),
        ("batch_size", [None, 1], [0, "all"]),
        ("store.checkpoint_seconds", [0.5, 30], [0, -1, "soon", True]),
        ("data.max_failed", [0, 0.5, 1], [-0.1, 1.1, None]),
        ("launch.time", ["90m", "4h", "2d"], ["0m", "4", "h", "1.5h", 4]),
        ("task.scale", ["own", "shared", 3.5], ["mine", 0, None]),
        ("data.transform.crop", [None, 3, [3, 4]], ["big", [3, "4"], 3.5]),
        ("task.panels", [["heat_map"]], [[], ["picture"], "heat_map"]),
    ],
)
def test_values_in_and_out_of_range(name: str, inside: list[object], outside: list[object]) -> None:
    assert [RANGES[name].contains(value) for value in inside] == [True] * len(inside)
    assert [RANGES[name].contains(value) for value in outside] == [False] * len(outside)


def test_the_message_names_option_value_and_range() -> None:
    with pytest.raises(UsageError, match=r"^store\.dtype=int8: expected one of float16, float32, float64$"):
        check_ranges({"store": {"dtype": "int8"}})
