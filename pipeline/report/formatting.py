"""Numbers, paths, options and times formatted for readers of the report."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def significant(value: float, digits: int = 3) -> str:
    """Formats a number with this many significant digits, without an ``e`` in it."""
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
    """Formats a share with one decimal; 0 % and 100 % stand only for exactly none and all."""
    share = part / whole
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.{0 if share in (0, 1) else 1}f} %"


def printable(text: str | bytes) -> str:
    """Formats a path or message on one line; control, unassigned and text-direction characters are escaped."""
    if isinstance(text, bytes):
        text = text.decode(errors="backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def option_line(options: Mapping[str, object]) -> str:
    """Formats options as on the command line: ``n_steps=200, baselines=0``."""
    return ", ".join(f"{name}={_option_value(value)}" for name, value in options.items())


def method_title(target: str) -> str:
    """Splits a class name into words: ``pipeline.methods.IntegratedGradients`` -> ``Integrated Gradients``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", target.rpartition(".")[2])


def utc_time(time: datetime) -> str:
    """Formats a time in UTC: ``22 November 2026, 20:03 UTC``."""
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _option_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_option_value, value)) + "]"
    return "null" if value is None else str(value)
