"""Export as one Zarr group (format 3): one array a column, chunks of one map."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import MissingExtra
from pipeline.export.export_folder import claim
from pipeline.export.run_excerpt import ROWS, Excerpt
from pipeline.store.atomic import Unwritable
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

if TYPE_CHECKING:
    import zarr

GROUP = "run.zarr"
_DONE = "rows_written"
_AXES = {"attribution": ("row", "channel", "height", "width"), "prediction": ("row", "output"), "crop": ("row", "edge")}


def write_zarr(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> Path:
    """Writes ``run.zarr`` block by block, under the name ``run.zarr.part`` until it is complete; the same call resumes.

    Returns:
        The group's folder.

    Raises:
        MissingExtra: The package is not installed.
        Unwritable: The disk is full, or the folder is read-only.
    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtra("zarr", "task.format=zarr") from error
    claim(folder, excerpt, "zarr")
    complete, part = folder / GROUP, folder / f"{GROUP}.part"
    with Progress(len(excerpt)) as progress:
        if complete.exists():
            progress.add_existing(len(excerpt))
            return complete
        try:
            group = zarr.open_group(part, mode="a", zarr_format=3)
            progress.add_existing(_rows_written(group))
            for first, end in excerpt.blocks():
                stop.check()
                if end > _rows_written(group):
                    _write_block(group, excerpt, first, end)
                    progress.add(end - first, failed=0)
            del group.attrs[_DONE]
            part.rename(complete)
        except OSError as error:
            raise Unwritable(part, error) from error
    return complete


def _rows_written(group: "zarr.Group") -> int:
    return int(str(group.attrs.get(_DONE, 0)))


def _write_block(group: "zarr.Group", excerpt: Excerpt, first: int, end: int) -> None:
    """Writes a block, then the number of rows written, at which the same call resumes."""
    columns = excerpt.read(first, end)
    texts = [path.decode("utf-8", "backslashreplace") for path in columns.pop("path").tolist()]
    columns["path"] = np.array(texts, np.dtypes.StringDType())
    if not first:
        for name, values in columns.items():
            _create_array(group, name, values, len(excerpt))
        group.attrs.update(excerpt.attributes)
    for name, values in columns.items():
        array = group[name]
        array[first:end] = values  # type: ignore[index]
    group.attrs[_DONE] = end


def _create_array(group: "zarr.Group", name: str, values: np.ndarray, rows: int) -> None:
    """Creates the array of a column; one file (a Zarr shard) for each block of rows, with maps in chunks of one."""
    row = values.shape[1:]
    block = (min(ROWS, rows), *row)
    per_image = name == "attribution"
    group.create_array(
        name,
        shape=(rows, *row),
        dtype="string" if name == "path" else values.dtype,
        chunks=(1, *row) if per_image else block,
        shards=block if per_image else None,
        dimension_names=_AXES.get(name, ("row",)),
        overwrite=True,
    )
