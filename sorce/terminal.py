"""Text that others wrote, made fit for a terminal.

File names, folders, a model's name in an index and the words of another server are data. Written raw, a control
character in them moves the cursor, changes colours or hides what stands before it.
"""

from __future__ import annotations

import unicodedata

# Control, format, surrogate, line and paragraph separator.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Joiners are format characters, too, but Persian words and emoji of several people need them, and they do no harm.
_HARMLESS = frozenset("\u200c\u200d")


def printable(text: str, keep: str = "") -> str:
    """The text with characters that would act on the terminal shown escaped, such as `\\x1b`.

    `keep` holds characters that stay as they are, such as a newline in a message of several lines.
    """
    if text.isprintable():
        return text
    return "".join(_escaped(each) if each not in keep and _acts(each) else each for each in text)


def _acts(character: str) -> bool:
    return unicodedata.category(character) in _UNSAFE and character not in _HARMLESS


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
