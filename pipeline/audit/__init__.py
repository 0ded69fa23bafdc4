"""What the model looks at, where it cheats, which labels are wrong, and how far to trust the maps."""

from pipeline.audit.findings import Audit
from pipeline.audit.twin import open_audit

__all__ = ["Audit", "open_audit"]
