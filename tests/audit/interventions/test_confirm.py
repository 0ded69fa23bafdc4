"""Confirmation of suspects: the number of interventions, their result, and its summary."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch

from pipeline.audit.findings import Audit
from pipeline.audit.interventions.confirm import confirm_suspects, suspect_rows, suspect_summary
from pipeline.data.preprocessing import Preprocessing
from pipeline.models.classifier import Classifier
from pipeline.run.job import Job
from pipeline.store.reader import Run
from pipeline.system.signals import StopRequest
from tests.audit.interventions.test_cover import JobParts
from tests.audit.page.runs import SIDE, audited
from tests.metrics.known_networks import Constant


@pytest.fixture
def job() -> Job:
    """A job of a network that ignores its input."""
    preprocessing = Preprocessing(None, (SIDE, SIDE), (0.0,) * 3, (1.0,) * 3)
    names = ["a", "b"]
    classifier = Classifier.wrap(Constant(), "constant", preprocessing=preprocessing, class_names=names)
    return cast(Job, JobParts(classifier, torch.device("cpu")))


@pytest.fixture
def unchecked(tmp_path: Path) -> tuple[Audit, Run]:
    """An audit with one suspect, of class 1, without an intervention."""
    audit, source = audited(tmp_path)
    suspect = replace(audit.classes[0], number=1, shortcut=replace(audit.classes[0].shortcut, check=None, cluster=None))
    return replace(audit, classes=[suspect, *audit.classes[1:]]), Run(source)


def test_suspects_alone_are_covered(unchecked: tuple[Audit, Run], job: Job) -> None:
    audit, run = unchecked
    found = confirm_suspects(audit, run, job, most=3, stop=StopRequest())
    shortcut = found.classes[0].shortcut
    assert shortcut is not None and shortcut.check is not None and shortcut.check.images == 5
    assert not shortcut.check.confirmed and found.totals.confirmed == 0  # the network does not see the image
    assert all(one.shortcut is not None and one.shortcut.check is None for one in found.classes[1:])


def test_no_more_than_wanted_are_covered(unchecked: tuple[Audit, Run], job: Job) -> None:
    audit, run = unchecked
    assert confirm_suspects(audit, run, job, most=0, stop=StopRequest()).classes == audit.classes


def test_rows_are_those_of_the_cluster(tmp_path: Path) -> None:
    audit, _ = audited(tmp_path)
    jay = audit.classes[0]
    assert suspect_rows(audit, jay).tolist() == [11, 13]  # of cluster 1, the odd ones
    assert suspect_rows(audit, audit.classes[1]).tolist() == [0, 1, 2, 3, 4]


def test_the_summary_says_what_was_found(tmp_path: Path) -> None:
    jay, tabby, _ = audited(tmp_path)[0].classes
    assert suspect_summary(jay).endswith("covered, accuracy -80%; elsewhere +0%: confirmed")
    assert suspect_summary(tabby) == "tabby: shortcut score 0.10 (all, 2 images, box (16, 16, 32, 32))"
    assert suspect_summary(replace(tabby, shortcut=None)) == "tabby: too few maps"
