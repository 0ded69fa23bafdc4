"""What an audit must not find where it stands in a release pipeline."""

from collections.abc import Mapping

from pipeline.audit.findings import Audit


def breaches(audit: Audit, limits: Mapping[str, float | None]) -> list[str]:
    """What is above its limit, in words.

    Args:
        audit: Of a run.
        limits: By name: ``shortcut`` (highest score), ``suspects`` and ``confirmed`` (classes), ``doubted`` and
            ``unfaithful`` (shares of the images), ``failures`` (images); None admits all.
    """
    found = measured(audit)
    return [
        f"{name} is {found[name]:.4g}, above task.fail_on.{name}={limit}"
        for name, limit in limits.items()
        if limit is not None and found[name] > limit
    ]


def measured(audit: Audit) -> dict[str, float]:
    """What can have a limit, by name."""
    totals = audit.totals
    return {
        "shortcut": max((one.shortcut.score for one in audit.classes if one.shortcut), default=0.0),
        "suspects": totals.suspects,
        "confirmed": totals.confirmed,
        "doubted": totals.doubted_share or 0.0,
        "unfaithful": totals.unfaithful_share or 0.0,
        "failures": audit.run.failures,
    }
