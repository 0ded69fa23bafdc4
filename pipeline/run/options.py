"""A composed configuration as typed, frozen objects, made once where it enters the program."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.data.data_options import DataOptions
from pipeline.run.launch_options import LAUNCH_OPTIONS, LaunchOptions
from pipeline.run.option_ranges import check_ranges
from pipeline.system.configuration import Config

MOST_DECODING_PROCESSES = 8

Target = str | int | list[int]
"""``pred``, ``label``, ``top3``, a class number or several."""


@dataclass(frozen=True)
class GroupNames:
    """The chosen file of each group whose name means something: in the identity, the folder's name, messages."""

    method: str
    smooth: str
    view: str
    data: str
    model: str
    launch: str


@dataclass(frozen=True)
class StoreOptions:
    """Options of the group ``store``.

    Attributes:
        dtype: Of the stored maps: float16, float32 or float64.
        channels: ``sum`` or ``keep``.
        features: True to store the penultimate features too.
        filter: HDF5 filter of the maps: ``none`` or ``gzip``.
        shard_size: Images in a shard; None: decided by `pipeline.run.shard_sizes.shard_size`.
        checkpoint_seconds: Time between two writes of finished rows.
    """

    dtype: str
    channels: str
    features: bool
    filter: str
    shard_size: int | None
    checkpoint_seconds: float


@dataclass(frozen=True)
class EngineOptions:
    """Options of the group ``engine``.

    Attributes:
        name: ``auto``, ``dense`` or ``incremental``.
        prepare: True to evaluate a faster copy of the network.
        compile: Backend of ``torch.compile`` for that copy, or None.
    """

    name: str
    prepare: bool
    compile: str | None


@dataclass(frozen=True)
class ReportOptions:
    """Options of the group ``report``.

    Attributes:
        images: True if the page shows photographs.
    """

    images: bool


@dataclass(frozen=True)
class RunOptions:
    """Every option but those of the task.

    Attributes:
        names: The chosen file of each group.
        method: Node of the method: ``_target_`` and its options, passed to the constructor.
        smooth: Node of the wrapper around the method; None for the method alone.
        view: Node of the view.
        model: Node of the model.
        store: See `StoreOptions`.
        data: See `DataOptions`.
        launch: Of the chosen launcher, see `pipeline.run.launch_options`.
        engine: See `EngineOptions`.
        report: See `ReportOptions`.
        target: Class or classes to explain.
        output: ``logit``, ``probability`` or ``log_probability``.
        output_dir: Folder of the run; None: named by content.
        run: Folder of a run that a task reads.
        device: As requested, ``auto`` included.
        dtype: Computation type, a key of `pipeline.run.device_transfer.DTYPES`.
        batch_size: Images in flight; None: by device.
        internal_batch_size: Points in one forward pass; None: measured.
        num_workers: Decoding processes; None: see `decoding_processes`.
        seed: Of the methods that draw at random.
        retry_failed: True to compute failed images again.
        composed: The configuration as it came in, with ``names``; for config.yaml alone.
    """

    names: GroupNames
    method: Config
    smooth: Config | None
    view: Config
    model: Config
    store: StoreOptions
    data: DataOptions
    launch: LaunchOptions
    engine: EngineOptions
    report: ReportOptions
    target: Target
    output: str
    output_dir: str | None
    run: str | None
    device: str
    dtype: str
    batch_size: int | None
    internal_batch_size: int | None
    num_workers: int | None
    seed: int
    retry_failed: bool
    composed: Config

    @classmethod
    def from_config(cls, config: Config, choices: Mapping[str, Any]) -> "RunOptions":
        """Checks a configuration and reads it.

        Args:
            config: The composed configuration as plain data.
            choices: The chosen file of each group, such as ``{"method": "ig"}``.

        Raises:
            UsageError: A value is outside its range.
        """
        check_ranges(config)
        typed: dict[str, Any] = {
            "names": GroupNames(**{field.name: choices[field.name] for field in fields(GroupNames)}),
            "smooth": config["smooth"] if "_target_" in config["smooth"] else None,
            "store": StoreOptions(**config["store"]),
            "data": DataOptions.from_node(config["data"]),
            "launch": LAUNCH_OPTIONS[choices["launch"]](**config["launch"]),
            "engine": EngineOptions(**config["engine"]),
            "report": ReportOptions(**config["report"]),
            "composed": config | {"names": dict(choices)},
        }
        return cls(**typed, **{field.name: config[field.name] for field in fields(cls) if field.name not in typed})

    @property
    def is_local(self) -> bool:
        """True if this process computes the run, False if it starts workers."""
        return self.names.launch == "local"

    @property
    def decoding_processes(self) -> int:
        """Processes that decode images; by default one for each core that this process may use, 8 at most."""
        cores = len(os.sched_getaffinity(0))
        return min(MOST_DECODING_PROCESSES, cores) if self.num_workers is None else self.num_workers

    def to_config(self) -> Config:
        """The composed configuration with the values of this object, which may have replaced some of them."""
        return _overlay(self.composed, asdict(self))


def _overlay(composed: Config, values: Mapping[str, Any]) -> Config:
    """Each option of ``composed``, with its value in ``values`` where it has one."""
    return {
        name: _overlay(value, values.get(name) or {}) if isinstance(value, dict) else values.get(name, value)
        for name, value in composed.items()
    }
