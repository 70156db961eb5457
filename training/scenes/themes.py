"""The kinds of scenes: their backdrops, the concepts that belong there, and how large they look."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.scenes import indoors, outdoors
from training.scenes.backdrop import Backdrop
from training.scenes.textures import Rng

Range = tuple[float, float]

# Longer side in pixels by natural size. Outdoors an elephant is larger than a cup; in a room it is a toy.
OUTSIDE: Mapping[str, Range] = {"small": (46, 105), "medium": (80, 180), "large": (150, 330), "huge": (230, 400)}
INSIDE: Mapping[str, Range] = {"small": (48, 230), "medium": (90, 330), "large": (90, 340), "huge": (100, 330)}


@dataclass(frozen=True)
class Theme:
    """A kind of scene. `belongs` are themes of concepts; the first is the scene's own."""

    paint: Callable[[Rng], Backdrop]
    belongs: tuple[str, ...]
    sizes: Mapping[str, Range]

    @property
    def outside(self) -> bool:
        return self.sizes is OUTSIDE


THEMES = (
    Theme(outdoors.street, ("street",), OUTSIDE),
    Theme(indoors.kitchen, ("kitchen",), INSIDE),
    Theme(outdoors.beach, ("beach",), OUTSIDE),
    Theme(indoors.desk, ("desk",), INSIDE),
    Theme(outdoors.garden, ("garden",), OUTSIDE),
    Theme(indoors.cubbies, ("wardrobe",), INSIDE),
    Theme(indoors.workshop, ("workshop",), INSIDE),
    Theme(outdoors.farm, ("farm",), OUTSIDE),
    Theme(indoors.shelf, ("playroom", "desk"), INSIDE),
    Theme(outdoors.forest, ("forest",), OUTSIDE),
    Theme(indoors.market, ("market", "kitchen"), INSIDE),
    Theme(outdoors.harbour, ("harbour", "beach"), OUTSIDE),
    Theme(indoors.party, ("party", "kitchen"), INSIDE),
    Theme(outdoors.snow, ("snow", "forest"), OUTSIDE),
    Theme(indoors.playroom, ("playroom", "sport"), INSIDE),
    Theme(indoors.bathroom, ("bathroom", "wardrobe", "lab"), INSIDE),
    Theme(outdoors.picnic, ("kitchen", "garden", "market"), INSIDE),
    Theme(indoors.shelf, ("lab", "desk", "workshop"), INSIDE),
    Theme(outdoors.pitch, ("sport", "street"), OUTSIDE),
    Theme(indoors.stage, ("music", "party", "wardrobe"), INSIDE),
)

FLIERS = frozenset(
    (
        "aeroplane",
        "balloon",
        "bat",
        "bee",
        "bird",
        "butterfly",
        "cable car",
        "disco ball",
        "dragon",
        "eagle",
        "kite",
        "flying saucer",
        "helicopter",
        "ladybird",
        "owl",
        "parachute",
        "parrot",
        "rainbow",
        "rocket",
        "star",
    )
)
FLOATERS = frozenset(
    (
        "canoe",
        "crocodile",
        "dolphin",
        "duck",
        "fish",
        "jellyfish",
        "lifebuoy",
        "octopus",
        "otter",
        "sailboat",
        "seal",
        "shark",
        "ship",
        "speedboat",
        "swan",
        "turtle",
        "whale",
    )
)
