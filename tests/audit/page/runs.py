"""A small audited run: photographs and classes with awkward names, maps that lie in a corner of their own."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.audit.analyse import analyse
from pipeline.audit.evidence import Cluster, Effect, InterventionResult, Shortcut
from pipeline.audit.findings import Audit
from pipeline.audit.image_findings import ClassComparison, Outlier, RunComparison, SimilarClasses, Unfaithful
from pipeline.data.image_paths import ImagePaths
from pipeline.data.preprocessing import Preprocessing
from pipeline.metrics.bootstrap import Interval
from pipeline.store.manifest import Manifest, freeze_manifest
from pipeline.store.schema import Rows
from pipeline.store.shard_reader import ShardReader
from pipeline.store.writer import Writer
from tests.report.conftest import ATTRIBUTES

SIDE, PER_CLASS = 32, 5
CLASSES = ["tabby", "<i>husky</i> & co", "jay"]
CORNERS = [(0, 0), (0, 1), (1, 1)]  # of each class's maps: top left, top right, bottom right
LABELS = np.repeat(np.arange(3, dtype=np.int32), PER_CLASS)
PREDICTED = np.where(np.arange(15) == 4, 2, LABELS).astype(np.int32)
HOSTILE = b"<img src=x onerror=alert(1)>.png"
BOX = (16, 16, 32, 32)


def write_run(folder: Path) -> Path:
    """Fifteen images of three classes; the fifth of the first is predicted as the third."""
    names = [b"%d/%d.png" % (label, place) for place, label in enumerate(LABELS)]
    names[4] = b"0/" + HOSTILE
    for place, name in enumerate(names):
        path = folder / "photographs" / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (SIDE, SIDE), (10 * place, 120, 60)).save(path)
    manifest = Manifest(
        root=os.fsencode(folder / "photographs"),
        paths=ImagePaths.from_bytes(names),
        label=LABELS,
        shards=np.array([0, 15]),
        identity={"method": "ig"},
        class_names=CLASSES,
        preprocessing=Preprocessing(SIDE, (SIDE, SIDE), (0.5,) * 3, (0.5,) * 3).to_json(),
    )
    geometry = {"kind": "pixels", "shape": [3, SIDE, SIDE], "channels": "sum"}
    with Writer(
        folder / "run", freeze_manifest(folder / "run", manifest), attributes=ATTRIBUTES | {"geometry": geometry}
    ) as writer:
        writer.add(_rows())
    return folder / "run"


def enriched(audit: Audit) -> Audit:
    """With all that can be found: clusters, a confirmed shortcut, outliers, unfaithful maps, classes that are alike."""
    by_number = {found.number: found for found in audit.classes}
    jay = replace(by_number[2], clusters=[_cluster(0, by_number[2].rows[:3]), _cluster(1, by_number[2].rows[3:])],
                  eigenvalues=[0.0, 0.1, 0.7, 0.8], shortcut=_shortcut(0.6, _check()), outliers=1)  # fmt: skip
    jay = replace(jay, shortcut=replace(jay.shortcut, agreement=0.7))
    others = [replace(by_number[number], shortcut=_shortcut(0.1, None), clusters=[]) for number in (0, 1)]
    arrays = audit.arrays
    spread = np.random.default_rng(0).random((15, 2)).astype(np.float32)
    filled = replace(
        arrays,
        cluster_mean=np.stack([arrays.mean[jay.mean], arrays.mean[jay.mean]]),
        cluster=np.where(arrays.group == 2, np.arange(15) % 2, -1).astype(np.int32),
        embedding=np.where(arrays.group[:, None] == 2, spread, np.nan),
    )
    return replace(
        audit,
        classes=[jay, *others],
        outliers=[Outlier(12, "2/12.png", 2, 2.5)],
        unfaithful=[Unfaithful(1, "0/1.png", 0, -0.4, 0.3)],
        alike=[SimilarClasses(0, "tabby", 1, CLASSES[1], 0.9)],
        comparison=RunComparison(
            "/runs/other",
            "0" * 64,
            "saliency",
            "drawn",
            15,
            0.3,
            0.2,
            [
                ClassComparison(2, "jay", 5, 0.1, 0.2, 0.5, -0.4, 0.6, 0.1, "appeared"),
                ClassComparison(0, "tabby", 5, None, None, None, None, 0.1, 0.1, "neither"),
            ],
        ),
        arrays=filled,
        totals=replace(audit.totals, suspects=1, confirmed=1),
    )


def audited(folder: Path) -> tuple[Audit, ShardReader]:
    source = ShardReader(write_run(folder))
    return enriched(analyse(source)), source


def write_scores(run: Path, **means: float | None) -> None:
    """An evaluate.json with one score, from a half below each mean to as much above; 1 where none is given."""
    kinds = {
        kind: dict.fromkeys(("mean", "low", "high"))
        if (mean := means.get(kind, 1.0)) is None
        else {"mean": mean, "low": mean - 0.5, "high": mean + 0.5}
        for kind in ("map", "random", "edge", "centre")
    }
    score = {"meaning": "area", "better": "higher", **kinds}
    metrics = {"deletion": {"protocol": "so <b>many</b> steps", "scores": {"insertion": score}}}
    (run / "evaluate.json").write_text(json.dumps({"schema": 1, "metrics": metrics}))


def _rows() -> Rows:
    maps = np.zeros((15, 1, SIDE, SIDE), np.float32)
    for place, label in enumerate(LABELS):
        top, left = (SIDE // 2 * side for side in CORNERS[label])
        maps[place, 0, top : top + SIDE // 2, left : left + SIDE // 2] = 1 + place / 10
        maps[place, 0, 0, 0] -= 0.5
    prediction = np.zeros((15, 3), np.float32)
    prediction[np.arange(15), PREDICTED] = 2
    columns = {
        "attribution": maps,
        "scale": np.ones(15, np.float32),
        "index": np.arange(15),
        "label": LABELS,
        "prediction": prediction,
        "features": np.empty((15, 0), np.float32),
        "predicted": PREDICTED,
        "target": LABELS,
        "score": np.full(15, 2, np.float32),
        "baseline_score": np.zeros(15, np.float32),
        "convergence_delta": np.linspace(-0.5, 0.5, 15, dtype=np.float32),
        "error_estimate": np.full(15, np.nan, np.float32),
        "evaluations": np.full(15, 20, np.int32),
        "crop": np.zeros((15, 6), np.int32),
    }
    return Rows(columns, [])


def _cluster(number: int, rows: list[int]) -> Cluster:
    return Cluster(number, len(rows), len(rows) / PER_CLASS, 1.0, 1.0, 2, "jay", 0.4, 0.3, 0.9, rows, number)


def _shortcut(score: float, check: InterventionResult | None) -> Shortcut:
    return Shortcut(score, 0.2, 0.9, 0.8, 0.5, 1 if check else None, 2, BOX, 0.95, 0.1, check is not None, check)


def _check() -> InterventionResult:
    near, far = Interval(-0.8, -0.9, -0.7), Interval(0.0, -0.1, 0.1)
    return InterventionResult(2, 1.0, Effect(near, near), Effect(far, far), Effect(near, near), [(0, 0, 16, 16)], True)
