"""Thresholds of an audit (``task.fail_on``): findings above them fail a release pipeline."""

from collections.abc import Mapping

from pipeline.audit.findings import Audit


def exceeded_thresholds(audit: Audit, limits: Mapping[str, float | None]) -> list[str]:
    """Messages about the findings above their threshold.

    Args:
        audit: Audit of a run.
        limits: Thresholds by name: ``shortcut`` (highest score), ``suspects`` and ``confirmed`` (classes), ``doubted``
            and ``unfaithful`` (shares of the images), ``failures`` (images); None is no threshold.
    """
    values = threshold_values(audit)
    return [
        f"{name} is {values[name]:.4g}, above task.fail_on.{name}={limit}"
        for name, limit in limits.items()
        if limit is not None and values[name] > limit
    ]


def threshold_values(audit: Audit) -> dict[str, float]:
    """Values that can have a threshold, by name."""
    totals = audit.totals
    return {
        "shortcut": max((one.shortcut.score for one in audit.classes if one.shortcut), default=0.0),
        "suspects": totals.suspects,
        "confirmed": totals.confirmed,
        "doubted": totals.doubted_share or 0.0,
        "unfaithful": totals.unfaithful_share or 0.0,
        "failures": audit.run.failures,
    }
