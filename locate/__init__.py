"""The second stage: looks at a photo again with the text in hand, and gives a tight box."""

from sorce.locate.opening import ZOOM, open_localiser

__all__ = ["ZOOM", "open_localiser"]
