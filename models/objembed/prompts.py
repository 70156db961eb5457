"""The prompts for a photo, its boxes and a text, as ObjEmbed was trained on them. White space is part of a prompt.

Source: ObjEmbed (arXiv 2602.01753) and its released evaluation. Only the user's turn: nothing is generated.
"""

from __future__ import annotations

from collections.abc import Mapping

OBJECT, GLOBAL, LOCAL_TEXT, GLOBAL_TEXT = "<object>", "<global>", "<local_text>", "<global_text>"
"""In the released code, the paper's fifth token <iou> is the second <object> of each pair."""
TOKENS = (OBJECT, GLOBAL, LOCAL_TEXT, GLOBAL_TEXT)

SENTENCE, NUMBER, OBJECTS = "<sent>", "<number>", "<objects>"
"""Placeholders for a text, a box's number, and the list of boxes."""
TURN = "<|im_start|>user\n{}<|im_end|>"
IMAGE_TOKEN = "<|image_pad|>"
IMAGE = f"<|vision_start|>{IMAGE_TOKEN}<|vision_end|>"

PAIR = f"Object {NUMBER}: {OBJECT}{OBJECT}. "
LOCAL = TURN.format(f"Find an object that matches the given caption. {SENTENCE} {LOCAL_TEXT}")
# Keys: the configuration's `use_two_tokens`. If there are two global tokens, the evaluation reads the first.
PHOTOS: Mapping[int, str] = {
    0: f"{OBJECTS}The global image is {GLOBAL}",
    1: f"The global image is {GLOBAL}. {OBJECTS}The global image is {GLOBAL}",
    2: f"The coarse global image is {GLOBAL}. {OBJECTS} The detailed global image is {GLOBAL}. ",
}


def about_photo(instruction: str, use_two_tokens: int) -> str:
    """The turn about a photo: the image token once, and OBJECTS at the place of its boxes."""
    return TURN.format(IMAGE + instruction + PHOTOS[use_two_tokens])


def with_boxes(turn: str, count: int) -> str:
    """The turn, with a pair of tokens for each box."""
    return turn.replace(OBJECTS, "".join(PAIR.replace(NUMBER, str(number)) for number in range(count)))
