"""Ranges of the options that no constructor checks."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.run.device_transfer import DTYPES
from pipeline.store.shard import FILTERS
from pipeline.system.configuration import Config
from pipeline.visualize import COLOURS, METHODS, SIGNS


@dataclass(frozen=True)
class Range:
    """The values that an option may have.

    Attributes:
        words: What they are, for the user.
        contains: Returns True for a value in the range.
    """

    words: str
    contains: Callable[[Any], bool]

    def or_null(self) -> "Range":
        """The same values and null."""
        return Range(f"{self.words}, or null", lambda value: value is None or self.contains(value))


def check_ranges(config: Config) -> None:
    """Checks the options of a composed configuration against their ranges.

    Raises:
        UsageError: On the first that is outside.
    """
    for name, allowed in RANGES.items():
        group, _, option = name.rpartition(".")
        options = _node(config, group)
        if option in options and not allowed.contains(options[option]):
            raise UsageError(f"{name}={options[option]}: expected {allowed.words}")


def _node(config: Config, group: str) -> Config:
    for name in filter(None, group.split(".")):
        config = config.get(name, {})  # a group's file need not have what another file of it has
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(lowest: int) -> Range:
    return Range(f"a whole number from {lowest}", lambda value: type(value) is int and value >= lowest)


def _is_time(value: Any) -> bool:
    """True for a number of minutes, hours or days: 90m, 4h, 2d."""
    return isinstance(value, str) and re.fullmatch(r"[1-9]\d*[mhd]", value) is not None


def _one_of(*names: str) -> Range:
    return Range(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def _several(words: str, kinds: tuple[type, ...]) -> Range:
    return Range(words, lambda value: isinstance(value, list) and all(type(item) in kinds for item in value))


_SWITCH = Range("true or false", lambda value: isinstance(value, bool))
_TEXT = Range("a name", lambda value: isinstance(value, str) and value != "")
_PATH = Range("a path (of digits alone: ./7)", lambda value: isinstance(value, str) and value != "").or_null()
_SHARE = Range("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_SECONDS = Range("a number above 0", lambda value: _is_number(value) and value > 0)
_COLOUR = _several("a number for each channel: [0.5,0.5,0.5]", (int, float)).or_null()
_SIDES = Range(
    "a number of pixels, or [height,width]",
    lambda value: type(value) is int or (isinstance(value, list) and all(type(side) is int for side in value)),
).or_null()
_PANELS = Range(
    f"a list of {', '.join(METHODS)}",
    lambda value: isinstance(value, list) and len(value) > 0 and all(panel in METHODS for panel in value),
)
_PACKAGES = Range(
    "a list of packages: [my_pkg]",
    lambda value: (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(package, str) for package in value))
    ),
)
_SCALE = Range(
    "own, shared, or a number above 0",
    lambda value: value in ("own", "shared") or (_is_number(value) and value > 0),
)

RANGES = {
    "run": _PATH,
    "output_dir": _PATH,
    "device": _TEXT,
    "dtype": _one_of(*DTYPES),
    "batch_size": _whole(1).or_null(),
    "num_workers": _whole(0).or_null(),
    "seed": _whole(0),
    "retry_failed": _SWITCH,
    "report.images": _SWITCH,
    "task.repair": _SWITCH,
    "task.json": _SWITCH,
    "task.worker": _whole(0),
    "task.workers": _whole(1),
    "task.finish": _SWITCH,
    "task.checks": _whole(0),
    "task.against": _PATH,
    "task.clusters": _one_of("maps", "features"),
    "task.fail_on.shortcut": _SHARE.or_null(),
    "task.fail_on.suspects": _whole(0).or_null(),
    "task.fail_on.confirmed": _whole(0).or_null(),
    "task.fail_on.doubted": _SHARE.or_null(),
    "task.fail_on.unfaithful": _SHARE.or_null(),
    "task.fail_on.failures": _whole(0).or_null(),
    "task.classes": _whole(3),
    "task.per_class": _whole(8),
    "task.watermark": _SWITCH,
    "task.marked": _SHARE,
    "task.swapped": _SHARE,
    "task.format": _one_of("virelay", "png", "npz", "zarr"),
    "task.folder": _PATH,
    "task.limit": _whole(1).or_null(),
    "task.panels": _PANELS,
    "task.sign": _one_of(*SIGNS).or_null(),
    "task.outlier_perc": Range("a percentage", lambda value: _is_number(value) and 0 <= value <= 100),
    "task.cmap": _one_of(*COLOURS).or_null(),
    "task.alpha_overlay": _SHARE.or_null(),
    "task.show_colorbar": _SWITCH,
    "task.titles": _SWITCH,
    "task.scale": _SCALE,
    "task.metrics": _several("a list of metrics: [deletion,sparseness]", (str,)),
    "task.images": _whole(1).or_null(),
    "task.seed": _whole(0),
    "task.resamples": _whole(1),
    "launch.workers": _whole(1).or_null(),
    "launch.restarts": _whole(0),
    "launch.follow": _SWITCH,
    "launch.address": _TEXT.or_null(),
    "launch.timeout": _SECONDS,
    "launch.cpus": _whole(1),
    "launch.gpus": _whole(0),
    "launch.requeues": _whole(0),
    "launch.warning": _whole(1),
    "launch.time": Range("a time such as 90m, 4h or 2d", _is_time),
    "launch.options": _several("a list of sbatch's options: [nodelist=n1]", (str,)),
    "launch.setup": _several("a list of shell lines: [module load cuda]", (str,)),
    "engine.prepare": _SWITCH,
    "engine.compile": _TEXT.or_null(),
    "model.state": _one_of("plain", "ema").or_null(),
    "data.root": _PATH,
    "data.list": _PATH,
    "data.labels": _SWITCH,
    "data.class_map": _PATH,
    "data.image_column": _TEXT.or_null(),
    "data.label_column": _TEXT.or_null(),
    "data.limit": _whole(1).or_null(),
    "data.per_class": _whole(1).or_null(),
    "data.classes": _several("a list of class folders: [n02123159]", (str, int)).or_null(),
    "data.max_failed": _SHARE,
    "data.transform.resize": _SIDES,
    "data.transform.crop": _SIDES,
    "data.transform.mean": _COLOUR,
    "data.transform.std": _COLOUR,
    "data.transform.interpolation": _TEXT.or_null(),
    "model.name": _TEXT,
    "model.weights": _TEXT.or_null(),
    "model.factory": _TEXT.or_null(),
    "model.architecture": _TEXT.or_null(),
    "model.allow": _PACKAGES,
    "model.head": _PATH,
    "model.n_outputs": _whole(1).or_null(),
    "store.dtype": _one_of("float16", "float32", "float64"),
    "store.channels": _one_of("sum", "keep"),
    "store.features": _SWITCH,
    "store.filter": _one_of(*FILTERS),
    "store.shard_size": _whole(1).or_null(),
    "store.checkpoint_seconds": _SECONDS,
}
