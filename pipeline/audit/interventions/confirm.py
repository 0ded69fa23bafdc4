"""Confirmation of suspects: an intervention on the suspected region of each."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
from PIL import Image

from pipeline.audit.findings import Audit, ClassFindings
from pipeline.audit.interventions.cover import intervene
from pipeline.data.decode import UnreadableImage
from pipeline.run.job import Job
from pipeline.store.reader import Run
from pipeline.system.signals import StopRequest

MAX_IMAGES = 64
"""Images of a class that are covered, at most."""


def confirm_suspects(audit: Audit, run: Run, job: Job, *, most: int, stop: StopRequest) -> Audit:
    """Cover the suspected regions of the suspects with the highest scores.

    Args:
        audit: Audit of the run.
        run: The run.
        job: Job of the run, with its model.
        most: Number of suspects at most.
        stop: Checked before each class.

    Raises:
        Stopped: A stop was requested.
    """
    classes = list(audit.classes)
    for position, findings in enumerate(classes[:most]):
        if findings.shortcut is None or not findings.is_suspect:
            break  # suspects come first
        stop.check()
        result = intervene(
            job, _photographs(run, suspect_rows(audit, findings)), findings.number, findings.shortcut.box
        )
        classes[position] = replace(findings, shortcut=replace(findings.shortcut, check=result))
    confirmed = sum(bool(one.shortcut and one.shortcut.check and one.shortcut.check.confirmed) for one in classes)
    return replace(audit, classes=classes, totals=replace(audit.totals, confirmed=confirmed))


def _photographs(run: Run, rows: np.ndarray) -> Iterator[Image.Image]:
    """Readable photographs of `MAX_IMAGES` of the rows, evenly spaced."""
    positions = np.linspace(0, len(rows) - 1, min(MAX_IMAGES, len(rows))).round().astype(int)
    for row in rows[positions].tolist():
        with suppress(UnreadableImage):
            yield run[row].photograph()


def suspect_summary(findings: ClassFindings) -> str:
    """One line about a class's suspected shortcut and its intervention."""
    shortcut = findings.shortcut
    if shortcut is None:
        return f"{findings.name}: too few maps"
    images = "all" if shortcut.cluster is None else f"cluster {shortcut.cluster}"
    text = (
        f"{findings.name}: shortcut score {shortcut.score:.2f} ({images}, {shortcut.images} images, box {shortcut.box})"
    )
    if (check := shortcut.check) is None:
        return text
    accuracy, control = check.region.accuracy.mean, check.control.accuracy.mean
    verdict = "confirmed" if check.confirmed else "not confirmed"
    return f"{text}: covered, accuracy {accuracy:+.0%}; elsewhere {control:+.0%}: {verdict}"


def suspect_rows(audit: Audit, findings: ClassFindings) -> np.ndarray:
    """Rows of the run concerned by a class's suspected shortcut."""
    cluster = findings.shortcut.cluster if findings.shortcut else None
    return np.asarray(audit.arrays.row[audit.arrays.members(findings.number, cluster)])
