"""The vectors of whole photos, by which near-duplicates of photos on earlier pages of hits are known."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from sorce.mappings import Vector
from sorce.mappings.found import FoundIndex
from sorce.mappings.limits import MAX_CANDIDATES
from sorce.mappings.regions import WHOLE, by_photo_ids, read_vectors, vectors_body
from sorce.plugin.service.page.users import ClusterUser

READ = 1000
"""Most vectors that are read at a time."""
REMEMBERED_SECONDS = 600

Key = tuple[str, str, str]


class WholeVectors:
    """Reads them. Those read as the service's own user are remembered: each page of hits asks for all earlier ones.

    With the credentials of a user, the cluster is asked each time: what this user may see is its to say.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Key, tuple[float, Vector | None]] = OrderedDict()
        self._lock = Lock()

    def of(self, user: ClusterUser, found: FoundIndex, photo_ids: Sequence[str]) -> dict[str, Vector | None]:
        """By photo id, without photos that the user does not find."""
        keys = {photo_id: (found.name, found.recipe.hash, photo_id) for photo_id in photo_ids}
        vectors = self._remembered(keys) if user.is_own else {}
        missing = [photo_id for photo_id in keys if photo_id not in vectors]
        for start in range(0, len(missing), READ):
            some = missing[start : start + READ]
            answer = user.ask(found.asked, vectors_body(by_photo_ids(some), WHOLE, len(some)))
            read = read_vectors(answer)
            vectors |= read
            if user.is_own:
                self._remember({keys[photo_id]: vector for photo_id, vector in read.items()})
        return vectors

    def _remembered(self, keys: dict[str, Key]) -> dict[str, Vector | None]:
        now = time.monotonic()
        with self._lock:
            found = {photo_id: self._known.get(key, (0.0, None)) for photo_id, key in keys.items()}
        return {photo_id: vector for photo_id, (until, vector) in found.items() if now < until}

    def _remember(self, read: dict[Key, Vector | None]) -> None:
        with self._lock:
            for key, vector in read.items():
                self._known[key] = (time.monotonic() + REMEMBERED_SECONDS, vector)
                self._known.move_to_end(key)
            while len(self._known) > MAX_CANDIDATES:
                self._known.popitem(last=False)
