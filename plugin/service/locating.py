"""The queue before the localiser, and how what it saw is answered.

`/v1/rerank` has the form of Cohere, Jina, vLLM and SGLang. `/v1/locate` is the form of the cluster's search pipeline: a
number for each photo, in the order sent, such that ordering by it gives the right order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from sorce.errors import QueryError, SorceError
from sorce.locate.seeing import best_first
from sorce.mappings import Vector
from sorce.plugin.service.looking import LookedAt, LookRequest, PhotoLooker
from sorce.plugin.service.requests import Refused

Embed = Callable[[Sequence[str]], Awaitable[list[Vector]]]
"""Gives the vectors of texts. It may raise Refused."""

MAX_WAITING = 16
"""Maximum requests that wait for the localiser, the one in work included."""
LOOK_SECONDS = 45
"""How many seconds a request may take: less than the cluster waits (`sorce.plugin.cluster.locate`)."""

UNSEEN = -10.0
"""Below all scores of photos that were opened: at most four phrases and two "not" give -1 to 4."""

log = logging.getLogger("sorce.service")


class Looking:
    """The queue before the localiser, which works in one thread; used from one event loop."""

    def __init__(self, looker: PhotoLooker, embed: Embed) -> None:
        """`embed` encodes with the index's model, in the one thread that may use it."""
        self._looker, self._embed = looker, embed
        self._waiting = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="localiser")

    @property
    def name(self) -> str:
        """The localiser's name."""
        return self._looker.localiser.name

    def close(self) -> None:
        """Call this when no request is in progress."""
        self._thread.shutdown()
        self._looker.close()

    async def look(self, asked: LookRequest) -> list[LookedAt]:
        """One answer for each photo, in order. Raises Refused."""
        if self._waiting >= MAX_WAITING:
            raise Refused(503, "too many requests wait for the localiser already; ask again in a second.")
        self._waiting += 1
        stop = Event()
        try:
            return await asyncio.wait_for(self._looked(asked, stop), LOOK_SECONDS)
        except TimeoutError as error:
            raise Refused(
                503, f"the localiser did not finish within {LOOK_SECONDS} seconds; have it look at fewer photos."
            ) from error
        except QueryError as error:
            raise Refused(422, str(error)) from error
        except SorceError as error:
            log.error("photos could not be looked at: %s", error)
            raise Refused(503, str(error)) from error
        except Refused:
            raise
        except Exception as error:
            log.exception("the localiser failed")
            raise Refused(500, "the localiser failed on these photos; the service's log says why.") from error
        finally:
            # The thread ends after the photo at hand: nobody waits for the others.
            stop.set()
            self._waiting -= 1

    async def _looked(self, asked: LookRequest, stop: Event) -> list[LookedAt]:
        vectors = await self._embed(asked.request.phrases)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._looker.look, asked, vectors, stop)


def reranked(looked: Sequence[LookedAt], top_n: int | None) -> list[dict[str, Any]]:
    """The results of `/v1/rerank`, best first; photos that were not opened have a reason, and no relevance."""
    seen, kept = [each.seen for each in looked], ("box", "region_id", "region_box", "reason")
    return [
        {
            "index": place,
            "relevance_score": 0.0 if seen[place].reason is not None else seen[place].score,
            **{name: value for name, value in _result(looked[place], 0.0).items() if name in kept},
        }
        for place in best_first(seen)[:top_n]
    ]


def located_results(looked: Sequence[LookedAt], asked: int) -> dict[str, Any]:
    """The answer of `/v1/locate` for so many photos, of which only the first were looked at.

    By the scores, photos that were not opened come after all that were, and then those that were not looked at.
    """
    unseen = [place for place in range(asked) if place >= len(looked) or looked[place].seen.reason is not None]
    unseen.sort(key=lambda place: place >= len(looked))
    scores = {place: UNSEEN - number for number, place in enumerate(unseen)}
    results = [_result(each, scores.get(place)) for place, each in enumerate(looked)]
    results += [{"score": scores[place], "box": None} for place in range(len(looked), asked)]
    return {"asked": asked, "results": [{**each, "rank": rank} for rank, each in enumerate(results, 1)]}


def _result(looked: LookedAt, score: float | None) -> dict[str, Any]:
    """`located` has an object for each phrase: what was seen, and the index's region with its box.

    `box`, `region_id` and `region_box` are those of the first phrase.
    """
    seen = looked.seen
    if seen.reason is not None:
        return {"score": score, "box": None, "reason": seen.reason}
    located = [
        {**found.as_dict(), "region_id": region.region_id, "region_box": list(region.box.as_tuple())}
        for found, region in zip(seen.located, looked.regions, strict=True)
    ]
    first = {name: located[0][name] for name in ("box", "region_id", "region_box")}
    return {"score": seen.score, **first, "located": located}
