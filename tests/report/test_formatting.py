"""Numbers, paths, options and times as formatted for readers."""

from datetime import UTC, datetime

import pytest

from pipeline.report import formatting

NARROW = str.maketrans({"−": "-", "⋅": "."})  # noqa: RUF001


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.26449, "0.264"), (-1.5, "-1.5"), (1234.5, "1,230"), (-12345678, "-12,300,000"), (float("nan"), "–")],  # noqa: RUF001
)
def test_significant(value: float, text: str) -> None:
    assert formatting.significant(value).translate(NARROW) == text


def test_very_small_numbers_have_a_power_of_ten() -> None:
    assert formatting.significant(-1.234e-7, 2).translate(NARROW) == "-1.2.10⁻⁷"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.0001, "< 0.1 %"), (0.9999, "> 99.9 %"), (0.5, "50.0 %"), (0.8958, "89.6 %")],
)
def test_percent_is_0_or_100_only_for_exactly_none_or_all(share: float, text: str) -> None:
    assert formatting.percent(share) == text


def test_printable_is_one_line_that_reads_from_left_to_right() -> None:
    assert formatting.printable(b"a\xff/b\nc \xc3\xa9") == "a\\xff/b\\nc é"
    assert formatting.printable("a\u202etxt.exe\x1b[2J\udcff") == "a\\u202etxt.exe\\x1b[2J\\udcff"


def test_options_are_written_as_on_the_command_line() -> None:
    named = {"n_steps": 200, "abs": True, "baselines": None, "strides": [3, [8, 8]]}
    assert formatting.option_line(named) == "n_steps=200, abs=true, baselines=null, strides=[3,[8,8]]"


@pytest.mark.parametrize(
    ("target", "title"),
    [
        ("pipeline.methods.IntegratedGradients", "Integrated Gradients"),
        ("pipeline.methods.InputXGradient", "Input X Gradient"),
        ("pipeline.methods.LayerGradCam", "Layer Grad Cam"),
        ("Occlusion", "Occlusion"),
    ],
)
def test_method_title(target: str, title: str) -> None:
    assert formatting.method_title(target) == title


def test_utc_time() -> None:
    assert formatting.utc_time(datetime(2026, 3, 5, 7, 4, tzinfo=UTC)) == "5 March 2026, 07:04 UTC"
