"""Numbers, names and times as a reader meets them."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without an ``e`` in it."""
    if not math.isfinite(value):
        return DASH
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    number = mantissa.replace("-", MINUS)
    if not exponent:
        return number
    if 0 <= int(exponent) < 9:
        return f"{float(f'{value:.{digits}g}'):,.0f}".replace("-", MINUS)
    return f"{number}\N{DOT OPERATOR}10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def percent(part: float, whole: float = 1.0) -> str:
    """A share with one decimal, and never 0 % or 100 % for what is not none or all."""
    share = part / whole
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.{0 if share in (0, 1) else 1}f} %"


def printable(text: str | bytes) -> str:
    """A path or message on one line, what has no picture of its own (or would turn the line around) escaped."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def options(named: Mapping[str, object]) -> str:
    """``n_steps=200, baselines=0`` as the command line has it."""
    return ", ".join(f"{name}={_value(value)}" for name, value in named.items())


def title(target: str) -> str:
    """The name of a class as words: ``pipeline.methods.IntegratedGradients`` -> ``Integrated Gradients``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", target.rpartition(".")[2])


def day(time: datetime) -> str:
    """``22 November 2026, 20:03 UTC``."""
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_value, value)) + "]"
    return "null" if value is None else str(value)
