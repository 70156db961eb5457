"""Looks at the first hits again, and orders them by what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from sorce.errors import BadPhoto, QueryError
from sorce.locate.seeing import best_first, see
from sorce.mappings import Hit, Hits, Localiser, Seen
from sorce.mappings.request import SearchRequest
from sorce.pictures.ahead import Opened, opened_ahead
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from sorce.pictures.uris import Root, content_below


@dataclass(frozen=True, slots=True)
class SecondStage:
    """What looks at the first `most` hits again, and the folders below which photos are opened.

    `min_score` is the least score of each instance after the first. Raises QueryError.
    """

    localiser: Localiser
    most: int
    roots: Sequence[Root]
    min_score: float = 0.0

    def __post_init__(self) -> None:
        refuse_bad_stage(self.most, self.roots, self.min_score)


def refuse_bad_stage(most: int, roots: Sequence[Root], min_score: float) -> None:
    """Raises QueryError as `SecondStage` does: also before its localiser is opened."""
    if most < 1:
        raise QueryError(f"locate is {most}; give the number of hits to look at again, from 1.")
    refuse_other_scores(min_score)
    refuse_without_roots(roots)


def refuse_other_scores(least: float) -> None:
    """Raises QueryError if the least score of an instance is not from 0 to 1."""
    # Written this way, NaN is refused.
    if not 0 <= least <= 1:
        raise QueryError(f"min_located_score is {least}; give 0 to 1.")


def refuse_without_roots(roots: Sequence[Root]) -> None:
    """Raises QueryError if no folder is named. Anyone who may write to an index chooses what its uris name."""
    if not roots:
        raise QueryError("photos are only looked at again below a folder that you name; name it with --root (root=).")


def with_enough(asked: SearchRequest, most: int) -> SearchRequest:
    """The request whose hits `look_again` needs, to give the page that `asked` asks for.

    The first hits change places among themselves. So a page that begins within them needs all of them.
    """
    if most <= asked.start:
        return asked
    return replace(asked, start=0, size=max(asked.start + asked.size, most))


def look_again(hits: Hits, asked: SearchRequest, stage: SecondStage) -> Hits:
    """The hits: those that were looked at and opened, best first, then those that were not opened, then the others.

    `hits` are those of `with_enough`. The result is the page that `asked` asks for. A page that begins after the first
    `stage.most` hits is as the index gave it.
    Raises QueryError if there is no text to look for, and what the localiser raises.
    """
    if not asked.phrases:
        raise QueryError("a second stage looks for texts, and this search has none; add one, or leave the stage out.")
    before = with_enough(asked, stage.most).start
    ranked = [replace(hit, index_rank=rank) for rank, hit in enumerate(hits, before + 1)]
    looked = max(0, stage.most - before)
    first, others = ranked[:looked], ranked[looked:]
    with (
        closing(DecoderPool(DecodeLimits())) as decoders,
        opened_ahead(first, lambda hit: decoders.picture(content_below(hit.uri, stage.roots), hit.uri)) as pictures,
    ):
        seen = [_seen(hit, picture, asked, stage) for hit, picture in zip(first, pictures, strict=True)]
    ordered = [replace(first[place], seen=seen[place]) for place in best_first(seen)]
    skipped = asked.start - before
    return replace(hits, found=(*ordered, *others)[skipped : skipped + asked.size])


def _seen(hit: Hit, picture: Opened, asked: SearchRequest, stage: SecondStage) -> Seen:
    if isinstance(picture, BadPhoto):
        return Seen(reason=str(picture))
    # Examples come after the phrases, and have no text.
    regions = [matches[0].box for matches in hit.matches[: len(asked.phrases)]]
    return see(stage.localiser, picture, asked, regions, stage.min_score)


def not_opened(hits: Sequence[Hit]) -> list[str]:
    """A sentence for each photo that could not be opened."""
    return [
        f"'{hit.uri}' was not looked at again: it {hit.seen.reason}." for hit in hits if hit.seen and hit.seen.reason
    ]
