"""Audit of a run: shortcuts, clusters, label issues, outliers, and the faithfulness of the maps."""

import importlib.util

from pipeline.audit.audit_files import open_audit
from pipeline.audit.findings import Audit
from pipeline.errors import MissingExtra

__all__ = ["Audit", "check_audit_extra", "open_audit"]


def check_audit_extra() -> None:
    """Raise MissingExtra if the libraries that compute an audit are not installed; opening one needs none."""
    if importlib.util.find_spec("sklearn") is None or importlib.util.find_spec("scipy") is None:
        raise MissingExtra("audit", "an audit")
