"""ViRelAy's analysis equals the audit's clusters and embedding."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import pipeline
from pipeline.audit.analyse import analyse
from pipeline.export.label_map import class_identifiers
from pipeline.export.run_excerpt import Excerpt
from pipeline.export.virelay_analysis import CLUSTERS, EMBEDDING, FILE, write_analysis
from pipeline.store.shard_reader import ShardReader
from pipeline.system.signals import StopRequest
from tests.export.conftest import WriteRun


def test_clusters_and_embedding_are_those_of_the_audit(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run()
    excerpt = Excerpt.of(pipeline.open_run(run))
    assert write_analysis(excerpt, tmp_path, class_identifiers(excerpt), stop=StopRequest())
    audit = analyse(ShardReader(run))
    with h5py.File(tmp_path / FILE) as file:
        assert sorted(file) == ["n01440764", "n01443537"]  # the third class has too few maps
        for number, name in enumerate(["n01440764", "n01443537"]):
            group, rows = file[name], np.flatnonzero((audit.arrays.group == number) & (audit.arrays.cluster >= 0))
            (audited,) = (one for one in audit.classes if one.number == number)
            assert np.array_equal(group["index"], rows)
            assert np.array_equal(group[f"cluster/{CLUSTERS}"], audit.arrays.cluster[rows])
            assert group[f"cluster/{CLUSTERS}"].attrs["k"] == len(audited.clusters) == 2
            embedding = group[f"embedding/{EMBEDDING}"]
            assert np.array_equal(embedding, audit.arrays.embedding[rows])
            np.testing.assert_allclose(embedding.attrs["eigenvalue"], audited.eigenvalues, rtol=1e-6)


def test_without_enough_maps_there_is_no_analysis(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    excerpt = Excerpt.of(pipeline.open_run(write_run()), 7)
    assert not write_analysis(excerpt, tmp_path, class_identifiers(excerpt), stop=StopRequest())
    assert not (tmp_path / FILE).exists() and "no class has 8 maps" in caplog.text
