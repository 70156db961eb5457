"""From a vector for each patch to a few clusters: Cluster-CLIP's second half (Levi et al., arXiv 2309.14999).

The paper's own algorithm and number of clusters are not public; these three are common choices, by scikit-learn.
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
"""The cluster of each patch, (rows, columns); numbers 0, 1, ... without a gap."""

# What a photo's longer side counts in k-means, beside unit vectors that differ by 2 at most: so clusters stay together.
SPREAD = 1.0


def divided(features: Vector, clusters: int, aggregation: str) -> Labels:
    """At most so many clusters of features (rows, columns, dimension); each patch is one where there are no more."""
    rows, columns, _ = features.shape
    if clusters >= rows * columns:
        return np.arange(rows * columns).reshape(rows, columns)
    found = _WAYS[aggregation](features, clusters)
    return np.unique(found, return_inverse=True)[1].reshape(rows, columns)


def summarised(features: Vector, labels: Labels, width: int, height: int) -> list[Region]:
    """The clusters of a photo of that size in pixels, with the boxes of their masks.

    A cluster's vector is the mean of its patches' unit vectors, made unit; its coherence is the mean's norm, which for
    m patches of mean pairwise cosine r is the root of r + (1 - r) / m: 1 where all are the same.
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
    """The first and one past the last place that is used."""
    places = np.flatnonzero(used)
    return int(places[0]), int(places[-1]) + 1


def _ward(features: Vector, clusters: int) -> Labels:
    """Merges neighbours whose union varies least: every cluster is connected."""
    rows, columns, dimension = features.shape
    # The full tree would be built for few clusters, and then be cut.
    ward = AgglomerativeClustering(clusters, connectivity=grid_to_graph(rows, columns), compute_full_tree=False)
    found: Labels = ward.fit_predict(features.reshape(-1, dimension))
    return found


def _kmeans(features: Vector, clusters: int) -> Labels:
    """k-means on unit vectors and places: a cluster may lie in several places, and its box then spans them all."""
    rows, columns, dimension = features.shape
    places = np.indices((rows, columns)).reshape(2, -1).T / max(rows, columns)
    # In double precision, or the order in which threads add could move a patch.
    points = np.hstack([features.reshape(-1, dimension).astype(np.float64), SPREAD * places])
    with warnings.catch_warnings():
        # A plain surface has fewer different patches than clusters were asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: Labels = KMeans(clusters, n_init=1, random_state=0).fit_predict(points)
    return found


def _grid(features: Vector, clusters: int) -> Labels:
    """Equal cells, as square as the number allows."""
    rows, columns, _ = features.shape
    down = min(rows, clusters, max(1, round((clusters * rows / columns) ** 0.5)))
    across = min(columns, clusters // down)
    found: Labels = (np.arange(rows) * down // rows)[:, None] * across + np.arange(columns) * across // columns
    return found


_WAYS: Mapping[str, Callable[[Vector, int], Labels]] = {"ward": _ward, "kmeans": _kmeans, "grid": _grid}
