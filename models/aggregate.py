"""Groups patch vectors into a few clusters: the second half of Cluster-CLIP (Levi et al., arXiv 2309.14999).

The paper's algorithm and number of clusters are not public. These three are common choices; scikit-learn runs them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.image import grid_to_graph

from sorce.mappings import Box, Region, Vector

Labels = NDArray[np.int64]
"""The cluster of each patch, (rows, columns): numbers 0, 1, ... without gaps."""

# Length of a photo's longer side in k-means, where unit vectors differ by 2 at most. It keeps clusters compact.
SPREAD = 1.0


def divided(features: Vector, clusters: int, aggregation: str) -> Labels:
    """Divides features (rows, columns, dimension) into at most `clusters`; with as few patches, each is a cluster."""
    rows, columns, _ = features.shape
    if clusters >= rows * columns:
        return np.arange(rows * columns).reshape(rows, columns)
    found = _WAYS[aggregation](features, clusters)
    return np.unique(found, return_inverse=True)[1].reshape(rows, columns)


def summarised(features: Vector, labels: Labels, width: int, height: int) -> list[Region]:
    """The clusters of a photo as regions. A region's box bounds the cluster's mask; width and height are in pixels.

    A cluster's vector is the mean of its patches' unit vectors, scaled to length 1. Its coherence is the mean's norm.
    For m patches of mean pairwise cosine r that is sqrt(r + (1 - r) / m): 1 if all are the same.
    """
    rows, columns = labels.shape
    across, down = width / columns, height / rows
    regions = []
    for label in range(labels.max() + 1):
        mask = labels == label
        mean = features[mask].mean(0, dtype=np.float64)
        norm = float(np.linalg.norm(mean))
        (top, bottom), (left, right) = _span(mask.any(1)), _span(mask.any(0))
        box = Box(left * across, top * down, right * across, bottom * down)
        regions.append(Region(box, (mean / norm).astype(np.float32), "cluster", coherence=min(1.0, norm)))
    return regions


def _span(used: NDArray[np.bool_]) -> tuple[int, int]:
    """The first used index, and one past the last."""
    places = np.flatnonzero(used)
    return int(places[0]), int(places[-1]) + 1


def _ward(features: Vector, clusters: int) -> Labels:
    """Merges the neighbours whose union varies least. Every cluster is connected."""
    rows, columns, dimension = features.shape
    # By default, scikit-learn builds the full tree for few clusters and then cuts it.
    ward = AgglomerativeClustering(clusters, connectivity=grid_to_graph(rows, columns), compute_full_tree=False)
    found: Labels = ward.fit_predict(features.reshape(-1, dimension))
    return found


def _kmeans(features: Vector, clusters: int) -> Labels:
    """k-means on unit vectors and positions. A cluster may have several parts; its box then spans them all."""
    rows, columns, dimension = features.shape
    places = np.indices((rows, columns)).reshape(2, -1).T / max(rows, columns)
    # Double precision: otherwise the order in which threads add could move a patch to another cluster.
    points = np.hstack([features.reshape(-1, dimension).astype(np.float64), SPREAD * places])
    with warnings.catch_warnings():
        # A plain surface has fewer distinct patches than the requested clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: Labels = KMeans(clusters, n_init=1, random_state=0).fit_predict(points)
    return found


def _grid(features: Vector, clusters: int) -> Labels:
    """Equal cells, as square as `clusters` allows."""
    rows, columns, _ = features.shape
    down = min(rows, clusters, max(1, round((clusters * rows / columns) ** 0.5)))
    across = min(columns, clusters // down)
    found: Labels = (np.arange(rows) * down // rows)[:, None] * across + np.arange(columns) * across // columns
    return found


_WAYS: Mapping[str, Callable[[Vector, int], Labels]] = {"ward": _ward, "kmeans": _kmeans, "grid": _grid}
