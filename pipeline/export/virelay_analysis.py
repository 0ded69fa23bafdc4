"""ViRelAy's analysis file: the audit's spectral embedding and clusters of the maps of each class (SpRAy)."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from pipeline.audit.class_statistics import ClassMaps
from pipeline.audit.clusters import MIN_IMAGES, Partition
from pipeline.audit.image_table import ImageTable
from pipeline.audit.pooled_maps import pooled_maps
from pipeline.export.run_excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.store.hdf5 import LIBVER
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

FILE = "analysis.h5"
EMBEDDING, CLUSTERS = "spectral", "kmeans-eigengap"
"""ViRelAy reads these names from the first class and expects them in all others."""


def write_analysis(excerpt: Excerpt, folder: Path, names: Mapping[int, str], *, stop: StopRequest) -> bool:
    """Clusters the maps of each class (by label, else by prediction) and writes ``analysis.h5``.

    Args:
        excerpt: One explanation an image.
        folder: Of the export.
        names: ViRelAy's name of each class.
        stop: Checked before each class.

    Returns:
        True if the file was written; False if no class has enough maps to cluster.

    Raises:
        NotSpatial: The maps are of a layer without positions in the image.
    """
    images = ImageTable.read_rows(excerpt.reader, excerpt.rows_by_shard, np.arange(len(excerpt)))
    maps, stream, n_classes = pooled_maps(images), io.BytesIO(), 0
    with h5py.File(stream, "w", libver=LIBVER) as file:
        for number, positions in images.groups():
            stop.check()
            class_maps = ClassMaps.of(positions, maps[positions], None)
            if class_maps.partition is not None:
                _write_class(file.create_group(names[number]), class_maps.positions, class_maps.partition)
                n_classes += 1
    if not n_classes:
        log.warning("no class has %d maps with a positive part: ViRelAy gets no analysis", MIN_IMAGES)
        return False
    publish(stream.getbuffer(), folder / FILE)
    return True


def _write_class(group: h5py.Group, positions: np.ndarray, partition: Partition) -> None:
    group["index"] = positions.astype(np.uint32)
    group[f"embedding/{EMBEDDING}"] = partition.embedding.astype(np.float32)
    group[f"embedding/{EMBEDDING}"].attrs["eigenvalue"] = partition.eigenvalues.astype(np.float32)
    clusters = group.create_dataset(f"cluster/{CLUSTERS}", data=partition.cluster.astype(np.int32))
    clusters.attrs.update({"embedding": EMBEDDING, "k": int(partition.cluster.max()) + 1})
