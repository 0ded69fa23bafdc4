"""CSV tables of the findings: one row for each class, cluster, image or pair."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.audit.evidence import Cluster
from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.image_findings import ClassComparison, Confusion, LabelIssue, Outlier, SimilarClasses, Unfaithful


@dataclass(frozen=True)
class ClusterRow:
    """A cluster with its class."""

    number: int
    name: str
    cluster: Cluster


def csv_tables(audit: Audit) -> dict[str, bytes]:
    """CSV files by name; nested field names are joined by ``_``, boxes are four numbers, lists are left out."""
    clusters = [ClusterRow(one.number, one.name, cluster) for one in audit.classes for cluster in one.clusters]
    return {
        "classes": _csv(ClassFindings, audit.classes),
        "clusters": _csv(ClusterRow, clusters),
        "doubts": _csv(LabelIssue, audit.doubts),
        "outliers": _csv(Outlier, audit.outliers),
        "unfaithful": _csv(Unfaithful, audit.unfaithful),
        "confusions": _csv(Confusion, audit.confusions),
        "alike": _csv(SimilarClasses, audit.alike),
        "comparison": _csv(ClassComparison, audit.comparison.classes if audit.comparison else []),
    }


def without_none(hint: Any) -> Any:
    """The type of an optional annotation without None."""
    return get_args(hint)[0] if isinstance(hint, UnionType) else hint


def _csv(kind: type, findings: Iterable[Any]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = dict(_leaves(kind))
    table.writerow(columns)
    table.writerows([_value(one, path) for path in columns.values()] for one in findings)
    return text.getvalue().encode(errors="backslashreplace")


def _leaves(kind: type, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name of each column with the field names that lead to its value."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(part := without_none(hint)):
            assert isinstance(part, type)
            yield from ((column, (name, *path)) for column, path in _leaves(part, f"{prefix}{name}_"))
        elif get_origin(part) not in (list, dict):
            yield f"{prefix}{name}", (name,)


def _value(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = None if value is None else vars(value)[name]
    return " ".join(map(str, value)) if isinstance(value, tuple) else value
