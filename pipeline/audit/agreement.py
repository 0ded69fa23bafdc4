"""Whether another method, asked about the same network, looks at the places that are suspected too."""

from dataclasses import replace

import numpy as np

from pipeline.audit.evidence import Shortcut
from pipeline.audit.findings import Audit, ClassFindings, RunFacts
from pipeline.audit.image_table import Images
from pipeline.audit.pooling import class_means, others
from pipeline.audit.shortcuts import cells, in_place, scored
from pipeline.audit.suspects import count_suspects, ranked


def by_another_method(run: RunFacts, other: RunFacts) -> bool:
    """Whether two runs are of one network and not of one method."""
    return run.weights_sha256 == other.weights_sha256 and (run.method, run.options) != (other.method, other.options)


def agreed(audit: Audit, images: Images, maps: np.ndarray) -> Audit:
    """The audit with the other method's agreement as a part of every shortcut score, ranked anew.

    Args:
        audit: Of a run.
        images: Of the audit.
        maps: The other run's pooled maps of these images, (n, GRID * GRID); 0 where it has none.
    """
    means = class_means(dict(images.groups()), maps)
    classes = ranked([_agreed(audit, one, maps, others(means, one.number)) for one in audit.classes])
    return replace(audit, classes=classes, totals=replace(audit.totals, suspects=count_suspects(classes)))


def _agreed(audit: Audit, found: ClassFindings, maps: np.ndarray, elsewhere: np.ndarray) -> ClassFindings:
    if found.shortcut is None:
        return found
    own = maps[audit.arrays.members(found.number, found.shortcut.cluster)]
    own = own[own.any(1)]
    if not len(own):
        return found
    return replace(
        found, shortcut=scored(replace(found.shortcut, agreement=_part(audit.run, found.shortcut, own, elsewhere)))
    )


def _part(run: RunFacts, suspicion: Shortcut, maps: np.ndarray, elsewhere: np.ndarray) -> float:
    """The part ``place`` of these maps in the suspected box."""
    inside = cells(suspicion.box, (run.height, run.width))
    return in_place(float(np.median(maps[:, inside].sum(1))), float(elsewhere[inside].sum()))
