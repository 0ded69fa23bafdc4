"""The counter-check of the classes that look most as if they rested on a shortcut."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
from PIL import Image

from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.interventions.cover import counter_check
from pipeline.data.decode import UnreadableImage
from pipeline.run.job import Job
from pipeline.store.reader import Run
from pipeline.system.signals import StopRequest

MOST_IMAGES = 64
"""That are asked of a class."""


def confirm(audit: Audit, run: Run, job: Job, *, most: int, stop: StopRequest) -> Audit:
    """Covers the regions of the suspects.

    Args:
        audit: Of the run.
        run: All its rows.
        job: Of the run: its model.
        most: Suspects to check, those with the highest scores.
        stop: Asked before each class.

    Raises:
        Stopped: It was asked to stop.
    """
    classes = list(audit.classes)
    for place, found in enumerate(classes[:most]):
        if found.shortcut is None or not found.is_suspect:
            break
        stop.check()
        check = counter_check(job, _photographs(run, rows_of(audit, found)), found.number, found.shortcut.box)
        classes[place] = replace(found, shortcut=replace(found.shortcut, check=check))
    confirmed = sum(bool(one.shortcut and one.shortcut.check and one.shortcut.check.confirmed) for one in classes)
    return replace(audit, classes=classes, totals=replace(audit.totals, confirmed=confirmed))


def _photographs(run: Run, rows: np.ndarray) -> Iterator[Image.Image]:
    """Those of some rows, spread evenly over them, without what cannot be read."""
    places = np.linspace(0, len(rows) - 1, min(MOST_IMAGES, len(rows))).round().astype(int)
    for row in rows[places].tolist():
        with suppress(UnreadableImage):
            yield run[row].photograph()


def sentence(found: ClassFindings) -> str:
    """A class's suspicion in words."""
    suspicion = found.shortcut
    if suspicion is None:
        return f"{found.name}: too few maps"
    about = "all" if suspicion.cluster is None else f"cluster {suspicion.cluster}"
    said = (
        f"{found.name}: shortcut score {suspicion.score:.2f} ({about}, {suspicion.images} images, box {suspicion.box})"
    )
    if (check := suspicion.check) is None:
        return said
    accuracy, control = check.region.accuracy.mean, check.control.accuracy.mean
    verdict = "confirmed" if check.confirmed else "not confirmed"
    return f"{said}: covered, accuracy {accuracy:+.0%}; elsewhere {control:+.0%}: {verdict}"


def rows_of(audit: Audit, found: ClassFindings) -> np.ndarray:
    """Rows of the run that a class's suspicion is about."""
    cluster = found.shortcut.cluster if found.shortcut else None
    return np.asarray(audit.arrays.row[audit.arrays.members(found.number, cluster)])
