"""Makes text written by others safe for a terminal.

File names, folders, a model's name in an index and the messages of another server are data. Unescaped control
characters in them can move the cursor, change colours or hide earlier text.
"""

from __future__ import annotations

import unicodedata

# Control, format, surrogate, line separator and paragraph separator.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners are format characters, too, but Persian words and emoji of several people need them, and they are harmless.
_HARMLESS = frozenset("\u200c\u200d")


def printable(text: str, keep: str = "") -> str:
    """The text with characters that affect the terminal escaped, such as `\\x1b`.

    `keep` holds characters that stay as they are, such as newlines in a message of several lines.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(each) if each not in keep and _acts(each) else each for each in text)


def _acts(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE and character not in _HARMLESS


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
