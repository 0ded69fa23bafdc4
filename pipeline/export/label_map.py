"""ViRelAy's label map: the identifier and name of each class of a run."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.export.run_excerpt import Excerpt
from pipeline.models.class_names import class_name
from pipeline.store.atomic import publish

FILE = "label-map.json"
_WORDNET_FOLDER = re.compile(rb"(?:^|/)(n\d{8})(?=/)")


def class_identifiers(excerpt: Excerpt) -> dict[int, str]:
    """Identifier of each class in ViRelAy's WordNet field: the WordNet id of its folder, else its number.

    Where an image has no label the map has -1 too, since ViRelAy looks each label up.
    """
    labels, first = np.unique(excerpt.column("label"), return_index=True)
    images = excerpt.column("index")[first].tolist()
    outputs = len(excerpt.run[0].prediction)
    count = max(outputs, len(excerpt.run.manifest.class_names), int(labels[-1]) + 1)
    folders = {
        label: matches[-1].decode()
        for label, image in zip(labels.tolist(), images, strict=True)
        if label >= 0 and (matches := _WORDNET_FOLDER.findall(excerpt.run.manifest.paths[image]))
    }
    uses = Counter(folders.values())  # a folder that two classes share identifies neither
    unique = {label: name for label, name in folders.items() if uses[name] == 1}
    return {number: unique.get(number, str(number)) for number in range(min(0, int(labels[0])), count)}


def write_labels(excerpt: Excerpt, folder: Path) -> dict[int, str]:
    """Writes ``label-map.json``.

    Returns:
        See :func:`identifiers`.
    """
    names = class_identifiers(excerpt)
    labels = [
        {"index": number, "word_net_id": name, "name": class_name(excerpt.run.manifest.class_names, number)}
        for number, name in names.items()
    ]
    publish(json.dumps(labels, indent=1).encode(), folder / FILE)
    return names
