"""A project for ViRelAy 0.6, by what its code reads; its published specification says otherwise in places.

Row i is sample i of ``input.h5`` and map i of ``attributions.h5``, so no index is written: for each map that it shows,
ViRelAy would search it value by value.
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
from pipeline.export.claim import claim
from pipeline.export.column_parts import column_part_path, missing_parts, part_spans, shard_spans, write_part
from pipeline.export.excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.object_store import is_object
from pipeline.store.shard import FILTERS
from pipeline.store.virtual_dataset import Span, map_rows
from pipeline.system.progress import Progress
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

PROJECT, ATTRIBUTIONS = "project.yaml", "attributions.h5"
_STRATEGIES = {"label": "true_label", "pred": "predicted_label"}


def write_virelay(excerpt: Excerpt, folder: Path, *, stop: StopRequest, num_workers: int) -> Path:
    """Writes what is not there yet; the project file comes last.

    Returns:
        The project file.

    Raises:
        UsageError: Several classes of an image are explained, or the photographs or shards are not at hand.
        MissingExtra: What parts maps in clusters is not installed.
    """
    check_audit_extra()
    from pipeline.export.analysis import write_analysis

    if is_object(excerpt.run.folder):
        raise UsageError(f"run={excerpt.run.folder}: ViRelAy opens the shards themselves: copy the run here first")
    if not np.all(np.diff(excerpt.column("index"))):
        raise UsageError(
            f"run={excerpt.run.folder}: several classes of an image are explained, and ViRelAy has room for one: "
            "in Python, export(run.where(target=...)) takes one"
        )
    claim(folder, excerpt, "virelay")
    if not (folder / PROJECT).exists():
        names = label_map.write_labels(excerpt, folder)
        input_images.write_inputs(excerpt, folder, stop=stop, num_workers=num_workers)
        _write_attributions(excerpt, folder, stop=stop)
        analysed = write_analysis(excerpt, folder, names, stop=stop)
        publish(yaml.safe_dump(_project(excerpt, analysed), sort_keys=False).encode(), folder / PROJECT)
    return folder / PROJECT


def _write_attributions(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> None:
    """``attributions.h5``: maps as (n, 3, H, W), whose first channels are those of the shards; logits and labels.

    Maps of float16 are without their scale there, which ViRelAy would divide by again.
    """
    shards = list(shard_spans(excerpt, folder))
    maps, empty = shards, _empty(excerpt, "attribution")
    if not isinstance(excerpt.source.geometry, Pixels):
        _copy(excerpt, folder, stop=stop)
        maps, empty = list(part_spans(excerpt, "map")), excerpt.maps(0, 1)[:0]
    content = io.BytesIO()
    with h5py.File(content, "w", libver=("v110", "v110")) as file:
        _map(file, "attribution", empty, spans=maps, row=(3, *empty.shape[2:]))
        for name in ("prediction", "label"):
            column = _empty(excerpt, name)
            _map(file, name, column, spans=shards, row=column.shape[1:])
    publish(content.getbuffer(), folder / ATTRIBUTIONS)


def _map(file: h5py.File, name: str, empty: np.ndarray, *, spans: list[Span], row: tuple[int, ...]) -> None:
    map_rows(file, name, empty, spans=spans, shape=(spans[-1].here + spans[-1].count, *row), fill=0)


def _empty(excerpt: Excerpt, name: str) -> np.ndarray:
    return excerpt.source.read(excerpt.places[0][0], name, slice(0))


def _copy(excerpt: Excerpt, folder: Path, *, stop: StopRequest) -> None:
    native, shape = excerpt.source.geometry.native_shape, excerpt.maps(0, 1).shape
    log.info("the maps are stored as %s: %d are copied as %s, compressed", native, len(excerpt), shape[1:])
    missing = missing_parts(excerpt, folder, "map")
    with Progress(len(excerpt)) as progress:
        progress.found(len(excerpt) - sum(end - first for first, end in missing))
        for first, end in missing:
            stop.check()
            path = column_part_path(folder, "map", first)
            write_part(path, "attribution", excerpt.maps(first, end), FILTERS["gzip"])
            progress.add(end - first, failed=0)


def _project(excerpt: Excerpt, analysed: bool) -> dict[str, Any]:
    attributes, name = excerpt.run.attributes, excerpt.run.folder.resolve().name
    asked, method = str(attributes.get("target_option")), str(attributes["method"])
    if asked not in _STRATEGIES:
        explanation = excerpt.run[0]
        method += f" of {explanation.class_name if explanation.target >= 0 else 'a neuron'}"
    project = {
        "name": name,
        "model": str(attributes["model"]),
        "label_map": label_map.FILE,
        "dataset": {"name": name, "type": "hdf5", "path": input_images.FILE},
        "attributions": {
            "attribution_method": method,
            "attribution_strategy": _STRATEGIES.get(asked, "predicted_label"),
            "sources": [ATTRIBUTIONS],
        },
        "analyses": [{"analysis_method": "SpRAy", "sources": ["analysis.h5"]}] if analysed else [],
    }
    return {"project": project}
