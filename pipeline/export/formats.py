"""Export of a run in a format that another program opens."""

from pathlib import Path

import torch

from pipeline.engine.geometry import NotSpatial
from pipeline.errors import UsageError
from pipeline.export.npz import write_npz
from pipeline.export.png import write_png
from pipeline.export.run_excerpt import Excerpt
from pipeline.export.virelay import write_virelay
from pipeline.export.zarr import write_zarr
from pipeline.store.reader import Run
from pipeline.system.remote import to_path
from pipeline.system.signals import StopRequest

FORMATS = ("virelay", "png", "npz", "zarr")
FOLDER = "export"


def export(
    run: Run,
    format: str,
    *,
    folder: str | Path | None = None,
    limit: int | None = None,
    stop: StopRequest | None = None,
    num_workers: int = 0,
) -> Path:
    """Exports a run, or some of it, for another program; docs/export.md describes each format.

    Idempotent: the same call again writes what is missing. Writes are atomic.

    Args:
        run: As :func:`pipeline.open_run` returns it, or a part of it, as its ``where`` returns it.
        format: ``virelay``, ``png``, ``npz`` or ``zarr``.
        folder: To write to; by default ``export/FORMAT`` in the run's folder.
        limit: Maximum number of explanations, the first ones.
        stop: Checked between blocks.
        num_workers: Processes that decode photographs, for ViRelAy; 0 decodes in this one.

    Returns:
        The path to open: ViRelAy's project file, the table of the pictures, the folder of .npz files, the Zarr group.

    Raises:
        UsageError: The format cannot represent such maps, the folder has another export, or photographs are missing.
        MissingExtra: The format needs a package that is not installed.
        StoreError: No shard is published yet, a shard is damaged, or the disk is full.
        Stopped: A signal stopped the export; the same call resumes it.
    """
    if format not in FORMATS:
        raise UsageError(f"format={format}: expected one of {', '.join(FORMATS)}")
    excerpt, stop = Excerpt.of(run, limit), stop or StopRequest()
    _check_spatial(excerpt)
    path = run.folder / FOLDER / format if folder is None else to_path(str(folder))
    if format == "virelay":
        return write_virelay(excerpt, path, stop=stop, num_workers=num_workers)
    return {"png": write_png, "npz": write_npz, "zarr": write_zarr}[format](excerpt, path, stop=stop)


def _check_spatial(excerpt: Excerpt) -> None:
    geometry = excerpt.reader.geometry
    try:
        geometry.expand(torch.zeros(1, *geometry.native_shape))
    except NotSpatial as reason:
        raise UsageError(f"run={excerpt.run.folder}: {reason}") from reason
