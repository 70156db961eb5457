"""What a search is asked for on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sorce.mappings.filters import Filter
from sorce.mappings.query import EF_SEARCH, EF_SEARCH_TO_PROVE
from sorce.mappings.ranking import RANKS, SIMILARITY
from sorce.options import several
from sorce.plugin.query.search import MAX_K, SearchRequest

request = several(
    click.option("--and", "also", multiple=True, metavar="TEXT", help="A further thing the photo must show; up to 3."),
    click.option("--not", "nots", multiple=True, metavar="TEXT", help="A thing that counts against a photo; up to 2."),
    click.option("--size", default=10, show_default=True, help="How many photos."),
    click.option("--boxes", default=1, show_default=True, help="At most so many boxes per photo and thing."),
    click.option("--kind", "kinds", multiple=True, help="Only boxes of this kind: whole, tile, object ..."),
    click.option("--min-area", type=float, metavar="SHARE", help="Only boxes of at least this share of the photo."),
    click.option("--max-area", type=float, metavar="SHARE", help="Only boxes of at most this share (0.01 = 1 %)."),
    click.option("--min-quality", type=float, help="Only boxes of at least this quality, 0 to 1."),
    click.option("--folder", "photo_folder", help="Only photos in this folder and below."),
    click.option("--camera", help="Only photos of this camera."),
    click.option("--since", metavar="DATE", help="Only photos taken at or after this date."),
    click.option("--until", metavar="DATE", help="Only photos taken at or before this date."),
    click.option("--where", multiple=True, metavar="KEY=VALUE", help="Only with this attribute (also KEY>=3, KEY<=3)."),
    click.option("--min-similarity", type=float, help="Only boxes of at least this similarity, -1 to 1."),
    click.option("--k", type=int, help="Candidate photos per thing and shard."),
    click.option(
        "--ef-search",
        type=int,
        help=f"How widely the graph is searched.  [default: {EF_SEARCH}; by product {EF_SEARCH_TO_PROVE}, or a scan]",
    ),
    click.option("--exact", is_flag=True, help="Compare every photo instead of asking the graph."),
    click.option(
        "--rank",
        type=click.Choice(RANKS),
        default=SIMILARITY,
        show_default=True,
        help="By similarity, or by the product of the match and the box's quality.",
    ),
    click.option("--max-k", default=MAX_K, show_default=True, help="Candidates at which --rank product stops."),
    click.option(
        "--debias", default=0.0, metavar="WEIGHT", help="Less so much of a box's likeness to any text, 0 to 2."
    ),
)


def parse_request(text: str, given: Mapping[str, Any]) -> SearchRequest:
    """What `request`'s options say. Raises QueryError."""
    return SearchRequest(
        phrases=[text, *given["also"]],
        nots=given["nots"],
        size=given["size"],
        boxes=given["boxes"],
        filter=Filter(
            kinds=given["kinds"],
            min_area=given["min_area"],
            max_area=given["max_area"],
            min_quality=given["min_quality"],
            folder=given["photo_folder"],
            camera=given["camera"],
            since=given["since"],
            until=given["until"],
            where=given["where"],
        ),
        min_similarity=given["min_similarity"],
        k=given["k"],
        ef_search=given["ef_search"],
        exact=given["exact"],
        rank=given["rank"],
        debias=given["debias"],
        max_k=given["max_k"],
    )
