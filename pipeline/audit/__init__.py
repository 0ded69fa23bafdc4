"""What the model looks at, where it cheats, which labels are wrong, and how far to trust the maps."""

import importlib.util

from pipeline.audit.files import open_audit
from pipeline.audit.findings import Audit
from pipeline.errors import MissingExtra

__all__ = ["Audit", "check_audit_extra", "open_audit"]


def check_audit_extra() -> None:
    """Raises MissingExtra if what an audit computes with is not installed; to open one, it need not be."""
    if importlib.util.find_spec("sklearn") is None or importlib.util.find_spec("scipy") is None:
        raise MissingExtra("audit", "an audit")
