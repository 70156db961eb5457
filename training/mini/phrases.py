"""How people ask for the concepts, and the texts that the tokenizer is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.mini.bank import Concept
from training.mini.colours import COLOURS

ONE = (
    "{n}", "{a} {n}", "the {n}", "one {n}", "small {n}", "a small {n}", "the small {n}", "little {n}", "a little {n}",
    "tiny {n}", "a tiny {n}", "big {n}", "a large {n}", "old {n}", "photo of {a} {n}", "a photo of {a} {n}",
    "a photo of a small {n}", "a picture of {a} {n}", "picture of {a} {n}", "an image of {a} {n}", "my {n}",
    "a drawing of {a} {n}", "a close-up of {a} {n}", "find the {n}", "where is the {n}", "where is the {n}?",
    "is there {a} {n}", "show me {a} {n}", "this is {a} {n}", "there is {a} {n}", "{a} {n} in the background",
    "{a} {n} in a picture", "{n} on a table", "{a} {n} on the shelf", "{a} {n} on the ground", "{a} {n} in the street",
    "{a} {n} in the room", "single {n}",
)  # fmt: skip
MANY = (
    "{n}", "the {n}", "two {n}", "three {n}", "four {n}", "five {n}", "2 {n}", "some {n}", "many {n}", "several {n}",
    "a few {n}", "a pair of {n}", "lots of {n}", "small {n}", "little {n}", "two small {n}", "tiny {n}", "photo of {n}",
    "a photo of {n}", "a photo of two {n}", "a picture of {n}", "an image of {n}", "find the {n}", "where are the {n}",
    "there are {n}", "{n} on a table", "{n} in the background", "different {n}", "all {n}", "group of {n}",
)  # fmt: skip
COLOURED_ONE = (
    "{c} {n}", "a {c} {n}", "the {c} {n}", "small {c} {n}", "a small {c} {n}", "a little {c} {n}", "a tiny {c} {n}",
    "photo of a {c} {n}", "a photo of a {c} {n}", "a photo of a small {c} {n}", "a {n} that is {c}", "find the {c} {n}",
    "one {c} {n}", "where is the {c} {n}", "a picture of a {c} {n}", "a {c} {n} on a table",
)  # fmt: skip
COLOURED_MANY = (
    "{c} {n}", "the {c} {n}", "two {c} {n}", "three {c} {n}", "some {c} {n}", "small {c} {n}", "photo of {c} {n}",
    "a photo of two {c} {n}", "many {c} {n}",
)  # fmt: skip
BOTH = ("{x} and {y}", "{x}, {y}", "{x} next to {y}", "{x} with {y}", "{x} beside {y}", "{x} near {y}")
_OTHER_WORDS = (
    "the of to and in that it for on with as at by this be from which you an your but not have we can all will if more "
    "about has new out so up what no time into only some other do make like then first any work now may such over our "
    "than its who people just see image photo picture scene view old big nice good great cute please look here there "
    "very really hidden somewhere behind under beside left right corner real cheap broken wooden metal plastic"
)
FILLER = tuple(_OTHER_WORDS.split())
_LETTERS = "abcdefghijklmnoprstuvwyz"
# Never used in training: they measure whether the names are understood in other sentences.
HELD_OUT = ("could you spot {a} {n}", "an old photograph showing {a} {n}", "hunting for {a} {n} today")
HELD_OUT_MANY = ("six {n}", "a heap of {n}")
_SHADES = {
    "grey": ("grey", "gray"),
    "purple": ("purple", "violet"),
    "red": ("red", "bright red"),
    "blue": ("blue", "dark blue"),
}


@dataclass(frozen=True)
class Phrase:
    """A text and what it asks for: one or two concepts, and the colour of the first or -1."""

    text: str
    concepts: tuple[int, ...]
    colour: int = -1


@dataclass(frozen=True)
class Names:
    """All names of one concept, the main name first."""

    one: tuple[str, ...]
    many: tuple[str, ...]


def names(concept: Concept) -> Names:
    """The concept's name and synonyms, and their plurals."""
    one = (concept.name, *concept.synonyms)
    return Names(one, tuple(dict.fromkeys((concept.plural, *map(plural, concept.synonyms)))))


def plural(name: str) -> str:
    """By rule, also for synonyms: "cup of tea" -> "cups of tea"."""
    for link in (" of ", " with ", " in ", " on "):
        head, found, rest = name.partition(link)
        if found:
            return plural(head) + link + rest
    if name.endswith("s") and not name.endswith(("ss", "us")):
        return name  # "glasses" and similar words are plurals already
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return name[:-1] + "ies"
    return name[:-3] + "men" if name.endswith("man") else name + "s"


def article(name: str) -> str:
    """ "a" or "an", by the first letter."""
    return "an" if name[0] in "aeiou" else "a"


class Phrases:
    """Draws phrases for the concepts."""

    def __init__(self, concepts: Sequence[Concept]) -> None:
        self.names = [names(concept) for concept in concepts]

    def draw(self, rng: np.random.Generator) -> Phrase:
        """One phrase: bare or in a sentence, singular or plural, sometimes with a colour or a second thing."""
        concept, kind = int(rng.integers(len(self.names))), rng.random()
        if kind < 0.06:
            other = int(rng.integers(len(self.names)))
            frame = _any(BOTH, rng)
            x, y = (self._plain(which, rng) for which in (concept, other))
            return Phrase(frame.format(x=x, y=y), (concept, other))
        if kind < 0.36:
            colour = int(rng.integers(len(COLOURS)))
            word = _any(_SHADES.get(COLOURS[colour], (COLOURS[colour],)), rng)
            single = rng.random() < 0.75
            frame = _any(COLOURED_ONE if single else COLOURED_MANY, rng)
            return Phrase(frame.format(c=word, n=self._name(concept, single, rng)), (concept,), colour)
        single = rng.random() < 0.65
        name = self._name(concept, single, rng)
        frame = "{n}" if rng.random() < 0.25 else _any(ONE if single else MANY, rng)
        text = frame.format(n=name, a=article(name))
        return Phrase(_among_others(text, rng) if rng.random() < 0.25 else text, (concept,))

    def corpus(self) -> Iterator[str]:
        """Texts for the tokenizer: every name several times, so that its words become tokens, and all frames."""
        for both in self.names:
            for name in (*both.one, *both.many):
                yield from [name] * 10
        for frame in (*ONE, *MANY, *COLOURED_ONE, *COLOURED_MANY, *BOTH):
            yield from [frame.format(n="", a="a", c="", x="", y="")] * 20
        yield from FILLER * 10
        for colour in (*COLOURS, *(word for words in _SHADES.values() for word in words)):
            yield from [colour] * 50

    def _plain(self, concept: int, rng: np.random.Generator) -> str:
        name = self._name(concept, True, rng)
        return f"{article(name)} {name}" if rng.random() < 0.6 else name

    def _name(self, concept: int, single: bool, rng: np.random.Generator) -> str:
        known = self.names[concept].one if single else self.names[concept].many
        # The main name is as frequent as all its synonyms together: most people type the main name.
        return known[0] if rng.random() < 0.5 else _any(known, rng)


def _among_others(text: str, rng: np.random.Generator) -> str:
    """Adds words that name no concept, some of them made up: the tower must learn to ignore unknown words."""
    words = [_any(FILLER, rng) if rng.random() < 0.6 else _made_up(rng) for _ in range(rng.integers(1, 7))]
    before = int(rng.integers(len(words) + 1))
    return " ".join((*words[:before], text, *words[before:]))


def _made_up(rng: np.random.Generator) -> str:
    return "".join(_LETTERS[index] for index in rng.integers(len(_LETTERS), size=rng.integers(2, 10)))


def _any(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
