"""What is searched for: one object for the command, a Python program, the client and the stored template.

A new option is a field here or in `sorce.mappings.filters.Filter`, with its flag, help and bounds beside it. How it
changes the body of a request is defined in `sorce.mappings.query`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sorce.errors import QueryError
from sorce.mappings.example import Example, refuse_unless_examples
from sorce.mappings.filters import Filter
from sorce.mappings.limits import MAX_BOXES, MAX_CANDIDATES
from sorce.mappings.option import check_options, is_placeholder, listed, option, refuse_half, refuse_unless_texts
from sorce.mappings.ranking import MAX_DEBIAS, RANKS, SIMILARITY

MAX_PHRASES = 4
MAX_NOTS = 2
MAX_CHARACTERS = 2000
"""Maximum characters of one text, for any encoder."""

CANDIDATES_OTHERWISE = 10  # times the photos asked for
CANDIDATES_OF_SEVERAL = 1000
EF_SEARCH = 300
EF_SEARCH_TO_PROVE = 2000

DUPLICATE = 0.97
"""Default minimum cosine of the whole-photo vectors of two near-duplicates."""

MAX_K = 4000
"""By default, the proof of a ranking by product gives up at this number of candidates of a band of quality."""


@dataclass(frozen=True)
class SearchRequest:
    """What to search for, and how: phrases and examples that a photo must show, and "not" that count against it.

    `like` are examples: pictures, regions of the index, or vectors (`sorce.mappings.example`). `not_like` are examples
    that count against a photo, as `nots` are texts. `start` is how many of the first photos are left out, and `size`
    the number of photos. `boxes` is the number of boxes per photo and phrase, and `min_similarity` the minimum
    similarity of a box. `k` is how many candidate photos each shard proposes per
    phrase, and `ef_search` how widely the graph is searched for them; `exact` compares every photo instead. `rank` is
    similarity or product, and `debias` how strongly a region's hubness counts against it (`sorce.mappings.ranking`). A
    ranking by product asks for `k` photos of any quality, and for up to `max_k` of each band of quality to prove its
    order.
    `allow_partial` accepts an answer that lacks shards, and marks it. `fold` groups near-duplicates: photos whose whole
    vectors have at least this cosine are shown under the best of them, so there may be fewer than `size` entries. With
    None nothing is grouped.

    A single text or example is accepted as a list of one. Raises QueryError for an invalid search.
    """

    phrases: Sequence[str] = ()
    nots: Sequence[str] = ()
    like: Sequence[Example] = ()
    not_like: Sequence[Example] = ()
    start: int = option(
        0,
        "--from",
        "How many of the first photos to leave out.",
        int,
        least=0,
        most=MAX_CANDIDATES - 1,
        in_template=True,
    )
    size: int = option(10, "--size", "How many photos.", int, least=1, most=MAX_CANDIDATES, in_template=True)
    boxes: int = option(
        1,
        "--boxes",
        "Maximum number of boxes per photo and phrase.",
        int,
        least=1,
        most=MAX_BOXES,
        in_template=True,
    )
    filter: Filter = field(default_factory=Filter)
    min_similarity: float | None = option(
        None,
        "--min-similarity",
        "Only boxes of at least this similarity, -1 to 1.",
        float,
        least=-1,
        most=1,
        in_template=True,
    )
    k: int | None = option(
        None, "--k", "Candidate photos per phrase and shard.", int, least=1, most=MAX_CANDIDATES, in_template=True
    )
    ef_search: int | None = option(
        None,
        "--ef-search",
        f"How widely the graph is searched.  [default: {EF_SEARCH}; by product {EF_SEARCH_TO_PROVE}, or a scan]",
        int,
        least=1,
        most=MAX_CANDIDATES,
        in_template=True,
    )
    exact: bool = option(
        False, "--exact", "Compare every photo instead of searching the graph.", bool, in_template=True
    )
    rank: str = option(
        SIMILARITY,
        "--rank",
        "By similarity, or by the product of the match and the box's quality.",
        choices=RANKS,
        in_template=True,
    )
    debias: float = option(
        0.0,
        "--debias",
        "Subtract this share of a box's hubness (its similarity to any text), 0 to 2.",
        float,
        metavar="WEIGHT",
        least=0,
        most=MAX_DEBIAS,
        in_template=True,
    )
    max_k: int = option(
        MAX_K,
        "--max-k",
        "Candidates of a band of quality at which --rank product stops.",
        int,
        least=1,
        most=MAX_CANDIDATES,
    )
    allow_partial: bool = option(False, "--allow-partial", "Accept an answer that lacks shards, and mark it.", bool)

    fold: float | None = option(
        DUPLICATE,
        "--fold",
        "Show near-duplicates under the best of them: whole photos of at least this cosine; or off.",
        float,
        metavar="COSINE|off",
        least=0,
        most=1,
        may_be_off=True,
    )

    def __post_init__(self) -> None:
        for name in ("phrases", "nots"):
            several = listed(name, getattr(self, name))
            refuse_unless_texts(name, several)
            object.__setattr__(self, name, several)
        for name in ("like", "not_like"):
            given = getattr(self, name)
            examples = tuple(given) if isinstance(given, list | tuple) else (given,)
            refuse_unless_examples(name, examples)
            object.__setattr__(self, name, examples)
        wanted, unwanted = len(self.phrases) + len(self.like), len(self.nots) + len(self.not_like)
        if not 1 <= wanted <= MAX_PHRASES or unwanted > MAX_NOTS:
            raise QueryError(
                f"a search takes 1 to {MAX_PHRASES} phrases and examples together, and at most {MAX_NOTS} "
                '"not", examples among them; leave some out, or say what to look for.'
            )
        for text in self.texts:
            _refuse_unreadable(text)
        if not isinstance(self.filter, Filter):
            raise QueryError(f"filter is {self.filter!r}; give a sorce.Filter.")
        check_options(self)
        if not is_placeholder(self.size) and self.last > MAX_CANDIDATES:
            raise QueryError(
                f"photo number {self.last} is asked for, and a search reaches only {MAX_CANDIDATES}; lower start "
                "or size, or filter the photos."
            )
        if self.start and self.k is not None and self.k < self.last:
            raise QueryError(
                f"k is {self.k}, less than the last photo asked for ({self.last}); raise k, or leave it out."
            )

    @property
    def last(self) -> int:
        """The place of the last photo asked for, counted from 1."""
        return self.start + self.size

    @property
    def labels(self) -> list[str]:
        """What each list of a hit's matches was found by, in order: the phrases, then a name for each example."""
        return [*self.phrases, *(each.label for each in self.like)]

    @property
    def texts(self) -> list[str]:
        """Phrases, then "not"."""
        return [*self.phrases, *self.nots]

    @property
    def is_plain(self) -> bool:
        """Ranked by similarity alone, which any index supports."""
        return self.rank == SIMILARITY and self.debias == 0

    @property
    def width(self) -> int:
        """`ef_search`, or its default."""
        if self.ef_search is not None:
            return self.ef_search
        return EF_SEARCH if self.rank == SIMILARITY else EF_SEARCH_TO_PROVE

    @property
    def boxes_to_fetch(self) -> int:
        """How many regions to request so that about `boxes` remain without the overlapping ones."""
        return self.boxes if is_placeholder(self.boxes) else boxes_to_fetch(self.boxes)


def boxes_to_fetch(boxes: int) -> int:
    """How many regions to request so that about `boxes` remain without the overlapping ones."""
    return boxes if boxes == 1 else min(4 * boxes, MAX_BOXES)


def _refuse_unreadable(text: str) -> None:
    if not text.strip():
        raise QueryError("a text to search for is blank; say what to look for.")
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"a text of {len(text)} characters is too long; use at most {MAX_CHARACTERS}.")
    refuse_half("a text", text)
