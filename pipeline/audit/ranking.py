"""The order of the classes: suspects first."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.audit.findings import ClassFindings
from pipeline.audit.shortcuts import suspects


def ranked(classes: Sequence[ClassFindings]) -> list[ClassFindings]:
    """The classes with the word whether they are suspects; these by their score, since what orders others is noise."""
    found = suspects([one.shortcut for one in classes])
    judged = [replace(one, shortcut=shortcut) for one, shortcut in zip(classes, found, strict=True)]
    return sorted(judged, key=lambda one: (-one.shortcut.score if one.is_suspect and one.shortcut else 0.0, one.number))


def count_suspects(classes: Sequence[ClassFindings]) -> int:
    """How many of the classes are suspects."""
    return sum(one.is_suspect for one in classes)
