"""Spectral clustering of a class's images: SpRAy (Lapuschkin et al. 2019, doi 10.1038/s41467-019-08987-4)."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array, eye_array
from scipy.sparse.csgraph import laplacian
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import kneighbors_graph

MIN_IMAGES = 8
"""Images that a class must have to be clustered."""
MAX_CLUSTERS = 8
"""Clusters of a class at most."""
MAX_NEIGHBOURS = 10
"""Neighbours of an image at most; a twelfth of a small class, so that a small cluster is not joined to another."""
_DENSE = 500  # images up to which the dense eigenvalue solver is faster


@dataclass(frozen=True)
class Partition:
    """Clusters of images.

    Attributes:
        eigenvalues: The smallest of the normalised graph Laplacian, ascending, in [0, 2].
        cluster: Number of each image's cluster, int (n,); 0 is the largest.
        embedding: Eigenvectors 2 and 3, float (n, 2).
        silhouette: Of each image, in [-1, 1]; 0 where there is one cluster.
    """

    eigenvalues: np.ndarray
    cluster: np.ndarray
    embedding: np.ndarray
    silhouette: np.ndarray


def spectral_clustering(points: np.ndarray) -> Partition:
    """Cluster images at the widest gap of the eigenvalues of their neighbour graph (eigengap).

    Each point is joined to its nearest neighbours; the number of clusters is that of the eigenvalues of the normalised
    Laplacian before the widest gap (von Luxburg 2007, section 8.3), and k-means in the rows of their eigenvectors finds
    the clusters (Ng, Jordan and Weiss 2001).

    Args:
        points: (n, d), of length 1, compared by distance: square roots of maps that sum to 1 (Hellinger distance), or
            features. n is at least `MIN_IMAGES`.
    """
    neighbours = min(MAX_NEIGHBOURS, max(3, len(points) // 12))
    graph = kneighbors_graph(points, neighbours, mode="connectivity", include_self=False)
    values, vectors = _smallest(csr_array(laplacian((graph + graph.T) / 2, normed=True)), MAX_CLUSTERS + 1)
    count = int(np.argmax(np.diff(values[: len(points) // 4 + 1]))) + 1
    cluster, silhouette = np.zeros(len(points), int), np.zeros(len(points))
    if count > 1:
        rows = vectors[:, :count] / np.linalg.norm(vectors[:, :count], axis=1, keepdims=True).clip(1e-12)
        cluster = _by_size(KMeans(count, n_init=4, random_state=0).fit_predict(rows))
    if cluster.max() > 0:
        silhouette = silhouette_samples(points, cluster)
    return Partition(values, cluster, vectors[:, 1:3], silhouette)


def _smallest(matrix: csr_array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Smallest eigenvalues of a normalised Laplacian, ascending, and their eigenvectors, the largest entry positive."""
    count = min(count, matrix.shape[0])
    if matrix.shape[0] <= _DENSE:
        values, vectors = eigh(matrix.toarray(), subset_by_index=[0, count - 1])
    else:  # Lanczos finds the largest eigenvalues fast: those of 2 - L
        flipped = 2 * eye_array(matrix.shape[0], format="csr") - matrix
        start = np.random.default_rng(0).random(matrix.shape[0])
        values, vectors = eigsh(flipped, count, which="LA", v0=start)
        values, vectors = 2 - values[::-1], vectors[:, ::-1]
    largest = vectors[np.abs(vectors).argmax(0), np.arange(count)]
    return values.clip(0), vectors * np.sign(largest)


def _by_size(cluster: np.ndarray) -> np.ndarray:
    """Renumber clusters by size, the largest 0."""
    order = np.argsort(-np.bincount(cluster), kind="stable")
    numbers: np.ndarray = np.argsort(order)[cluster]
    return numbers
