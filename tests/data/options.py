"""Options of the group ``data`` as tests give them: the defaults of conf/data, and some changed."""

from typing import Any

from pipeline.data.data_options import DataOptions, TransformOptions


def data_options(**changes: Any) -> DataOptions:
    defaults = {"root": None, "labels": True, "class_map": None, "limit": None, "per_class": None, "classes": None}
    transform = TransformOptions(None, None, None, None, None)
    return DataOptions(**{**defaults, "max_failed": 0.01, "transform": transform, **changes})
