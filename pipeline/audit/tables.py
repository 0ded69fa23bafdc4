"""The findings as tables, for whoever has no Python: a line a class, a cluster, an image, a pair."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.audit.evidence import Cluster
from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.image_findings import Confusion, LabelIssue, Moved, Outlier, SimilarClasses, Unfaithful


@dataclass(frozen=True)
class ClusterLine:
    """A cluster with the class that it is of."""

    number: int
    name: str
    cluster: Cluster


def tables(audit: Audit) -> dict[str, bytes]:
    """CSV by name; names of fields of fields are joined by ``_``, boxes are four numbers, lists are left out."""
    clusters = [ClusterLine(one.number, one.name, cluster) for one in audit.classes for cluster in one.clusters]
    return {
        "classes": _csv(ClassFindings, audit.classes),
        "clusters": _csv(ClusterLine, clusters),
        "doubts": _csv(LabelIssue, audit.doubts),
        "outliers": _csv(Outlier, audit.outliers),
        "unfaithful": _csv(Unfaithful, audit.unfaithful),
        "confusions": _csv(Confusion, audit.confusions),
        "alike": _csv(SimilarClasses, audit.alike),
        "comparison": _csv(Moved, audit.comparison.classes if audit.comparison else []),
    }


def inner(hint: Any) -> Any:
    """What an annotation is where its value is not None."""
    return get_args(hint)[0] if isinstance(hint, UnionType) else hint


def _csv(kind: type, found: Iterable[Any]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    columns = dict(_leaves(kind))
    table.writerow(columns)
    table.writerows([_value(one, path) for path in columns.values()] for one in found)
    return text.getvalue().encode(errors="backslashreplace")


def _leaves(kind: type, prefix: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name of each column, and the fields that lead to it."""
    for name, hint in get_type_hints(kind).items():
        if is_dataclass(part := inner(hint)):
            assert isinstance(part, type)
            yield from ((column, (name, *path)) for column, path in _leaves(part, f"{prefix}{name}_"))
        elif get_origin(part) not in (list, dict):
            yield f"{prefix}{name}", (name,)


def _value(found: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        found = None if found is None else vars(found)[name]
    return " ".join(map(str, found)) if isinstance(found, tuple) else found
