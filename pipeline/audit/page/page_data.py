"""Data of the page's script as JSON: findings with four significant digits, arrays as bytes."""

from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.audit.findings import Arrays, Audit
from pipeline.audit.page.examples import IN_CLUSTER, LISTED, examples_per_class
from pipeline.audit.page.packed_arrays import base64_bytes, pack_maps, pack_points
from pipeline.audit.page.strips import Strip
from pipeline.report.formatting import printable
from pipeline.visualize import COLOURS

DIGITS = 4
_SCALE_QUANTILE = 0.995  # of the cells, gets the strongest colour: single peaks must not make all else pale


def page_data(audit: Audit, strips: list[Strip], scale: float | None, *, folder: str | None) -> dict[str, Any]:
    """All data of the page but the pictures, as plain JSON values.

    Args:
        audit: The findings.
        strips: Pictures on the page.
        scale: Scale of their maps.
        folder: Folder of the pictures relative to the page; None if they are embedded.
    """
    lists = ("doubts", "outliers", "unfaithful", "confusions", "alike")
    return {
        "run": {"height": audit.run.height, "width": audit.run.width, "pooled": audit.run.pooled},
        "labelled": audit.totals.accuracy is not None,
        "classes": [shortened(asdict(one)) for one in audit.classes],
        **{name: [shortened(asdict(one)) for one in getattr(audit, name)] for name in lists},
        "comparison": shortened(asdict(audit.comparison)) if audit.comparison else None,
        "arrays": _arrays(audit.arrays),
        "cards": {one.row: _card(one) for one in strips},
        "colours": {"signed": _colours("BuWhRd"), "share": _colours("Blues")},
        "limits": {"examples": examples_per_class(len(audit.classes)), "cluster": IN_CLUSTER, "listed": LISTED},
        "scale": scale,
        "folder": folder,
    }


def shortened(value: Any) -> Any:
    """Round floats to four significant digits and make text printable in one line, recursively."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: shortened(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [shortened(one) for one in value]
    return printable(value) if isinstance(value, str) else value


def _card(strip: Strip) -> list[Any]:
    return [strip.path, strip.label, strip.predicted, strip.correct, shortened(strip.confidence), strip.pictures]


def _colours(name: str) -> list[list[int]]:
    return [list(bytes.fromhex(anchor)) for anchor in COLOURS[name].split()]


def _arrays(arrays: Arrays) -> dict[str, Any]:
    order = np.argsort(arrays.group, kind="stable")
    numbers, counts = np.unique(arrays.group, return_counts=True)
    confidence = np.nan_to_num(arrays.self_confidence[order], nan=-1).clip(0, 1)
    return {
        "grid": arrays.mean.shape[1],
        "mean": pack_maps(arrays.mean),
        "deviation": pack_maps(np.sqrt(arrays.variance)),
        "cluster_mean": pack_maps(arrays.cluster_mean),
        "scales": {
            "mean": _scale(arrays.mean),
            "deviation": _scale(np.sqrt(arrays.variance)),
            "difference": _scale(
                np.abs(arrays.mean - arrays.mean.mean(0, keepdims=True)) if len(arrays.mean) else arrays.mean
            ),
        },
        "groups": {"number": numbers.tolist(), "count": counts.tolist()},
        "row": base64_bytes(arrays.row[order].astype(np.uint32)),
        "cluster": base64_bytes((arrays.cluster[order] & 0xFF).astype(np.uint8)),
        "sure": base64_bytes(np.round(255 * confidence).astype(np.uint8)),
        **pack_points(arrays.embedding[order], arrays.group[order]),
    }


def _scale(maps: np.ndarray) -> float:
    """Value with the strongest colour, as a multiple of a uniform map's share."""
    if not maps.size:
        return 1.0
    cells = maps.shape[1] * maps.shape[2]
    return float(shortened(max(float(np.quantile(maps, _SCALE_QUANTILE)) * cells, 1e-3)))
