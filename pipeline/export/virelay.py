"""Export as a project of ViRelAy 0.6, in the form that its code reads, which differs from its specification in places.

Row i is sample i of ``input.h5`` and map i of ``attributions.h5``, so no index is written: ViRelAy would search it
value by value for each map that it shows.
"""

import io
import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from pipeline.audit import check_audit_extra
from pipeline.engine.geometry import Pixels
from pipeline.errors import UsageError
from pipeline.export import input_images, label_map
from pipeline.export.column_parts import column_part_path, missing_parts, part_spans, shard_spans, write_part
from pipeline.export.export_folder import claim
from pipeline.export.run_excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import LIBVER
from pipeline.store.object_store import is_object_path
from pipeline.store.shard import FILTERS
from pipeline.store.virtual_dataset import RowSpan, create_virtual_dataset
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

PROJECT, ATTRIBUTIONS = "project.yaml", "attributions.h5"
_STRATEGIES = {"label": "true_label", "pred": "predicted_label"}


def write_virelay(excerpt: Excerpt, folder: Path, *, stop: StopRequest, num_workers: int) -> Path:
    """Writes the missing files of the project; the project file is written last.

    Returns:
        The project file.

    Raises:
        UsageError: Several classes of an image are explained, photographs are missing, or the run is remote.
        MissingExtra: The packages that cluster the maps are not installed.
    """
    check_audit_extra()
    from pipeline.export.virelay_analysis import write_analysis

    if is_object_path(excerpt.run.folder):
        raise UsageError(
            f"run={excerpt.run.folder}: ViRelAy reads the shards themselves: copy the run to this machine first"
        )
    if not np.all(np.diff(excerpt.column("index"))):
        raise UsageError(
            f"run={excerpt.run.folder}: several classes of an image are explained, and ViRelAy shows one: "
            "in Python, export(run.where(target=...)) takes one"
        )
    claim(folder, excerpt, "virelay")
    if not (folder / PROJECT).exists():
        names = label_map.write_labels(excerpt, folder)
        input_images.write_inputs(excerpt, folder, stop=stop, num_workers=num_workers)
        _write_attributions(excerpt, folder, stop=stop)
        has_analysis = write_analysis(excerpt, folder, names, stop=stop)
        publish(yaml.safe_dump(_project(excerpt, has_analysis), sort_keys=False).encode(), folder / PROJECT)
    return folder / PROJECT


def _write_attributions(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> None:
    """Writes ``attributions.h5``: maps as (n, 3, H, W), whose first channels are the shards'; logits and labels.

    Maps of float16 are not multiplied by their scale, since ViRelAy divides each map by its maximum anyway.
    """
    shards = list(shard_spans(excerpt, folder))
    maps, empty = shards, _empty_column(excerpt, "attribution")
    if not isinstance(excerpt.reader.geometry, Pixels):
        _copy_expanded(excerpt, folder, stop=stop)
        maps, empty = list(part_spans(excerpt, "map")), excerpt.maps(0, 1)[:0]
    content = io.BytesIO()
    with h5py.File(content, "w", libver=LIBVER) as file:
        _map_rows(file, "attribution", empty, spans=maps, row=(3, *empty.shape[2:]))
        for name in ("prediction", "label"):
            column = _empty_column(excerpt, name)
            _map_rows(file, name, column, spans=shards, row=column.shape[1:])
    publish(content.getbuffer(), folder / ATTRIBUTIONS)


def _map_rows(file: h5py.File, name: str, empty: np.ndarray, *, spans: list[RowSpan], row: tuple[int, ...]) -> None:
    create_virtual_dataset(file, name, empty, spans=spans, shape=(spans[-1].start + spans[-1].count, *row), fill=0)


def _empty_column(excerpt: Excerpt, name: str) -> np.ndarray:
    """No rows of a column, with its dtype and shape."""
    return excerpt.reader.read(excerpt.rows_by_shard[0][0], name, slice(0))


def _copy_expanded(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> None:
    """Writes maps of a coarser native grid at the input's size, in parts: ViRelAy cannot expand them."""
    native, shape = excerpt.reader.geometry.native_shape, excerpt.maps(0, 1).shape
    log.info("the maps are stored as %s: %d are copied as %s, compressed", native, len(excerpt), shape[1:])
    missing = missing_parts(excerpt, folder, "map")
    with Progress(len(excerpt)) as progress:
        progress.add_existing(len(excerpt) - sum(end - first for first, end in missing))
        for first, end in missing:
            stop.check()
            path = column_part_path(folder, "map", first)
            write_part(path, "attribution", excerpt.maps(first, end), FILTERS["gzip"])
            progress.add(end - first, failed=0)


def _project(excerpt: Excerpt, has_analysis: bool) -> dict[str, Any]:
    attributes, name = excerpt.run.attributes, excerpt.run.folder.resolve().name
    target, method = str(attributes.get("target_option")), str(attributes["method"])
    if target not in _STRATEGIES:
        explanation = excerpt.run[0]
        method += f" of {explanation.class_name if explanation.target >= 0 else 'a neuron'}"
    project = {
        "name": name,
        "model": str(attributes["model"]),
        "label_map": label_map.FILE,
        "dataset": {"name": name, "type": "hdf5", "path": input_images.FILE},
        "attributions": {
            "attribution_method": method,
            "attribution_strategy": _STRATEGIES.get(target, "predicted_label"),
            "sources": [ATTRIBUTIONS],
        },
        "analyses": [{"analysis_method": "SpRAy", "sources": ["analysis.h5"]}] if has_analysis else [],
    }
    return {"project": project}
