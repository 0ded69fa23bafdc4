"""Spectral clustering of points whose clusters are known."""

import numpy as np
import pytest

from pipeline.audit.clusters import MAX_CLUSTERS, spectral_clustering


def points(*sizes: int, spread: float = 0.05) -> np.ndarray:
    """Points about one axis for each size, of length 1, shuffled; their axis is where they are largest."""
    generator = np.random.default_rng(0)
    axes = np.repeat(np.arange(len(sizes)), sizes)
    drawn = np.eye(8)[generator.permutation(axes)] + generator.normal(0, spread, (len(axes), 8))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("sizes", [(80, 40), (12, 30, 20), (350, 200)], ids=["two", "three", "Lanczos"])
def test_clusters_are_found_and_numbered_by_size(sizes: tuple[int, ...]) -> None:
    drawn = points(*sizes)
    found = spectral_clustering(drawn)
    assert np.bincount(found.cluster).tolist() == sorted(sizes, reverse=True)
    axes = np.abs(drawn).argmax(1)
    for cluster in range(len(sizes)):
        assert len(set(axes[found.cluster == cluster])) == 1
    assert (np.diff(found.eigenvalues) >= -1e-9).all() and found.eigenvalues.min() >= 0
    assert found.eigenvalues.max() <= 2 and len(found.eigenvalues) == MAX_CLUSTERS + 1
    assert found.silhouette.mean() > 0.5 and found.embedding.shape == (sum(sizes), 2)


def test_one_crowd_is_one_cluster() -> None:
    found = spectral_clustering(points(60))
    assert not found.cluster.any() and not found.silhouette.any()
