"""Resource limits for one picture. A picture that exceeds a limit is rejected, and the reason names the limit."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 1 << 29
"""Maximum bytes of a file: it is read into memory whole."""

MAX_PIXELS = 180_000_000
"""Maximum pixels of a picture: more would decode to over half a gigabyte, however small the file is."""

MAX_TEXT = 1 << 26
"""Maximum bytes of text and colour profile in a PNG: they are unpacked into memory."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one picture may use in the decoder process: seconds of CPU time, and bytes of memory.

    A decoder that uses no CPU time is stopped after `clock_factor` times as many seconds by the clock: the machine may
    be busy, or asleep for a while.
    """

    seconds: int = 120
    memory: int = 2 << 30
    clock_factor: float = 10

    @property
    def clock(self) -> float:
        """Seconds by the clock."""
        return self.clock_factor * self.seconds

    @property
    def too_slow(self) -> str:
        return f"takes more than {self.seconds} s to open, which is the limit"

    @property
    def stuck(self) -> str:
        return f"was not open after {self.clock:g} s, which is the limit"

    @property
    def too_big(self) -> str:
        return f"needs more than {self.memory / 2**30:.2g} GB of memory to open, which is the limit"
