"""Agreement of another method: its mass in the suspected boxes, on the same network and images."""

from dataclasses import replace

import numpy as np

from pipeline.audit.evidence import Shortcut
from pipeline.audit.findings import Audit, ClassFindings, RunFacts
from pipeline.audit.image_table import ImageTable
from pipeline.audit.pooled_maps import class_means, mean_of_others
from pipeline.audit.shortcuts import cells_of_box, place_score, with_score
from pipeline.audit.suspects import count_suspects, rank_suspects


def is_another_method(run: RunFacts, other: RunFacts) -> bool:
    """Return whether two runs explain one network by different methods."""
    return run.weights_sha256 == other.weights_sha256 and (run.method, run.options) != (other.method, other.options)


def with_agreement(audit: Audit, images: ImageTable, maps: np.ndarray) -> Audit:
    """Return the audit with the other method's agreement in every shortcut score, and the classes ranked again.

    Args:
        audit: Audit of a run.
        images: Its images.
        maps: The other run's pooled maps of these images, (n, GRID * GRID); 0 where it has none.
    """
    means = class_means(dict(images.groups()), maps)
    scored = [_with_agreement(audit, one, maps, mean_of_others(means, one.number)) for one in audit.classes]
    classes = rank_suspects(scored)
    return replace(audit, classes=classes, totals=replace(audit.totals, suspects=count_suspects(classes)))


def _with_agreement(audit: Audit, findings: ClassFindings, maps: np.ndarray, others: np.ndarray) -> ClassFindings:
    if findings.shortcut is None:
        return findings
    own = maps[audit.arrays.members(findings.number, findings.shortcut.cluster)]
    own = own[own.any(1)]
    if not len(own):
        return findings
    agreement = _agreement(audit.run, findings.shortcut, own, others)
    return replace(findings, shortcut=with_score(replace(findings.shortcut, agreement=agreement)))


def _agreement(run: RunFacts, shortcut: Shortcut, maps: np.ndarray, others: np.ndarray) -> float:
    """The score ``place`` of the other method's maps in the suspected box."""
    inside = cells_of_box(shortcut.box, (run.height, run.width))
    return place_score(float(np.median(maps[:, inside].sum(1))), float(others[inside].sum()))
