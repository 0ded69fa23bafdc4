"""The audit's clusters of maps (SpRAy) as ViRelAy reads an analysis."""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from pipeline.audit.class_statistics import Maps
from pipeline.audit.clusters import FEWEST, Partition
from pipeline.audit.image_table import Images
from pipeline.audit.pooling import pooled
from pipeline.export.excerpt import Excerpt
from pipeline.store.atomic import publish
from pipeline.system.signals import StopRequest

log = logging.getLogger(__name__)

FILE = "analysis.h5"
EMBEDDING, CLUSTERS = "spectral", "kmeans-eigengap"
"""ViRelAy takes the names from the first class: all have both, and nothing else."""


def write_analysis(excerpt: Excerpt, folder: Path, names: Mapping[int, str], *, stop: StopRequest) -> bool:
    """Parts the maps of each class (by label, else by prediction) that has enough of them; writes ``analysis.h5``.

    Args:
        excerpt: One explanation an image.
        folder: Of the export.
        names: What each class is called there.
        stop: Asked before each class.

    Returns:
        Whether there is an analysis: without a class that has enough maps, there is none.

    Raises:
        NotSpatial: The maps belong nowhere in the image.
    """
    images = Images.at(excerpt.source, excerpt.places, np.arange(len(excerpt)))
    maps, stream, found = pooled(images), io.BytesIO(), 0
    with h5py.File(stream, "w", libver=("v110", "v110")) as file:
        for number, positions in images.groups():
            stop.check()
            own = Maps.of(positions, maps[positions], None)
            if own.parted is not None:
                _write(file.create_group(names[number]), own.positions, own.parted)
                found += 1
    if not found:
        log.warning("no class has %d maps with a positive part: ViRelAy gets no analysis", FEWEST)
        return False
    publish(stream.getbuffer(), folder / FILE)
    return True


def _write(group: h5py.Group, positions: np.ndarray, parted: Partition) -> None:
    group["index"] = positions.astype(np.uint32)
    group[f"embedding/{EMBEDDING}"] = parted.embedding.astype(np.float32)
    group[f"embedding/{EMBEDDING}"].attrs["eigenvalue"] = parted.eigenvalues.astype(np.float32)
    clusters = group.create_dataset(f"cluster/{CLUSTERS}", data=parted.cluster.astype(np.int32))
    clusters.attrs.update({"embedding": EMBEDDING, "k": int(parted.cluster.max()) + 1})
