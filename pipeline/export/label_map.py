"""The classes of a run under the names that ViRelAy knows classes by."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from pipeline.export.excerpt import Excerpt
from pipeline.report.run_summary import class_name
from pipeline.store.atomic import publish

FILE = "label-map.json"
_WORDNET_FOLDER = re.compile(rb"(?:^|/)(n\d{8})(?=/)")


def class_identifiers(excerpt: Excerpt) -> dict[int, str]:
    """What each class is called where ViRelAy wants a WordNet id: that of its folder, else its number.

    -1, without a label, is among them where an image has none: ViRelAy looks each label up.
    """
    labels, first = np.unique(excerpt.column("label"), return_index=True)
    images = excerpt.column("index")[first].tolist()
    outputs = len(excerpt.run[0].prediction)
    count = max(outputs, len(excerpt.run.manifest.class_names), int(labels[-1]) + 1)
    folders = {
        label: found[-1].decode()
        for label, image in zip(labels.tolist(), images, strict=True)
        if label >= 0 and (found := _WORDNET_FOLDER.findall(excerpt.run.manifest.paths[image]))
    }
    uses = Counter(folders.values())
    named = {label: name for label, name in folders.items() if uses[name] == 1}
    return {number: named.get(number, str(number)) for number in range(min(0, int(labels[0])), count)}


def write_labels(excerpt: Excerpt, folder: Path) -> dict[int, str]:
    """Writes ``label-map.json``.

    Returns:
        See :func:`identifiers`.
    """
    names = class_identifiers(excerpt)
    labels = [
        {"index": number, "word_net_id": name, "name": class_name(excerpt.run.manifest, number)}
        for number, name in names.items()
    ]
    publish(json.dumps(labels, indent=1).encode(), folder / FILE)
    return names
