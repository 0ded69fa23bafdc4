"""Facts and totals of the audited run."""

from collections.abc import Sequence

import numpy as np

from pipeline.audit.findings import ClassFindings, RunFacts, Totals
from pipeline.audit.image_table import ImageTable
from pipeline.audit.suspects import count_suspects
from pipeline.report.formatting import printable
from pipeline.store.shard_summary import ShardTotals


def run_facts(images: ImageTable, sums: ShardTotals, *, located: bool, clusters: str) -> RunFacts:
    """Facts about the audited run.

    Args:
        images: All images of the audit.
        sums: Sums of the shards' summaries.
        located: True if the maps have places in the image.
        clusters: Data that is clustered: ``maps`` or ``features``.
    """
    source, attributes = images.source, images.source.attributes
    height, width = source.manifest.preprocessing["crop"]
    return RunFacts(
        folder=printable(str(source.run)),
        fingerprint=source.manifest.fingerprint,
        method=attributes["method"],
        options=attributes["options"],
        target=attributes["target_option"],
        output=attributes["output"],
        model=attributes["model"],
        weights_sha256=attributes["weights_sha256"],
        root=printable(source.manifest.root),
        images=len(source.manifest),
        audited=len(images),
        failures=len(sums.failed),
        missing_shards=source.manifest.n_shards - len(source.shards),
        height=height,
        width=width,
        pooled=located,
        clusters=clusters,
    )


def run_totals(images: ImageTable, relative: np.ndarray, classes: Sequence[ClassFindings]) -> Totals:
    """Totals of the audited run.

    Args:
        images: All images of the audit.
        relative: Relative convergence delta of each, NaN without.
        classes: All classes.
    """
    labelled, measured = int(images.labelled.sum()), int(np.isfinite(relative).sum())
    doubted, missed = (sum(vars(one)[name] for one in classes) for name in ("doubted", "unfaithful"))
    return Totals(
        accuracy=float(images.correct[images.labelled].mean()) if labelled else None,
        zero_maps=sum(one.zero_maps for one in classes),
        doubted=doubted,
        doubted_share=doubted / labelled if labelled else None,
        outliers=sum(one.outliers for one in classes),
        unfaithful=missed,
        unfaithful_share=missed / measured if measured else None,
        suspects=count_suspects(classes),
        confirmed=0,
    )
