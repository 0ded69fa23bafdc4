"""A run in the form that another program opens."""

from pathlib import Path

import torch

from pipeline.engine.geometry import NotSpatial
from pipeline.errors import UsageError
from pipeline.export.excerpt import Excerpt
from pipeline.export.npz import write_npz
from pipeline.export.png import write_png
from pipeline.export.virelay import write_virelay
from pipeline.export.zarr import write_zarr
from pipeline.store.reader import Run
from pipeline.system.remote import locate
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
    """Writes a run, or some of it, for another program; docs/export.md says how each format looks.

    The same call again writes what is missing. Files appear whole or not at all.

    Args:
        run: As :func:`pipeline.open_run` gives it, or some of it, as its ``where`` does.
        format: ``virelay``, ``png``, ``npz`` or ``zarr``.
        folder: Where to; by default ``export/FORMAT`` in the run's folder.
        limit: Only so many explanations, the first.
        stop: Asked between blocks.
        num_workers: Processes that decode photographs, for ViRelAy; 0 decodes in this one.

    Returns:
        What is opened: ViRelAy's project file, the table of the pictures, the folder of .npz files, the Zarr group.

    Raises:
        UsageError: The format cannot hold such maps, the folder holds another export, or photographs are not at hand.
        MissingExtra: The format needs a package that is not installed.
        StoreError: Nothing is published yet, damage was found, or the disk is full.
        Stopped: It was asked to stop; the same call goes on.
    """
    if format not in FORMATS:
        raise UsageError(f"format={format}: expected one of {', '.join(FORMATS)}")
    excerpt, asked = Excerpt.of(run, limit), stop or StopRequest()
    _check_places(excerpt)
    place = run.folder / FOLDER / format if folder is None else locate(str(folder))
    if format == "virelay":
        return write_virelay(excerpt, place, stop=asked, num_workers=num_workers)
    return {"png": write_png, "npz": write_npz, "zarr": write_zarr}[format](excerpt, place, stop=asked)


def _check_places(excerpt: Excerpt) -> None:
    geometry = excerpt.source.geometry
    try:
        geometry.expand(torch.zeros(1, *geometry.native_shape))
    except NotSpatial as reason:
        raise UsageError(f"run={excerpt.run.folder}: {reason}") from reason
