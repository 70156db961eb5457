"""The words around a photo, its boxes and a text, as ObjEmbed was trained on them: white space is part of them.

Source: ObjEmbed (arXiv 2602.01753) and its released evaluation. A user's turn alone: nothing is generated.
"""

from __future__ import annotations

from collections.abc import Mapping

OBJECT, GLOBAL, LOCAL_TEXT, GLOBAL_TEXT = "<object>", "<global>", "<local_text>", "<global_text>"
"""The paper's fifth token, <iou>, is the second <object> of each pair in the released code."""
TOKENS = (OBJECT, GLOBAL, LOCAL_TEXT, GLOBAL_TEXT)

SENTENCE, NUMBER, OBJECTS = "<sent>", "<number>", "<objects>"
"""Where a text, a box's number, and the list of boxes go."""
TURN = "<|im_start|>user\n{}<|im_end|>"
IMAGE_TOKEN = "<|image_pad|>"
IMAGE = f"<|vision_start|>{IMAGE_TOKEN}<|vision_end|>"

PAIR = f"Object {NUMBER}: {OBJECT}{OBJECT}. "
LOCAL = TURN.format(f"Find an object that matches the given caption. {SENTENCE} {LOCAL_TEXT}")
# By the configuration's `use_two_tokens`. Where there are two global tokens, evaluation reads the first.
PHOTOS: Mapping[int, str] = {
    0: f"{OBJECTS}The global image is {GLOBAL}",
    1: f"The global image is {GLOBAL}. {OBJECTS}The global image is {GLOBAL}",
    2: f"The coarse global image is {GLOBAL}. {OBJECTS} The detailed global image is {GLOBAL}. ",
}


def about_photo(instruction: str, use_two_tokens: int) -> str:
    """The turn about a photo: the image's token once, and OBJECTS where its boxes go."""
    return TURN.format(IMAGE + instruction + PHOTOS[use_two_tokens])


def with_boxes(turn: str, count: int) -> str:
    """The turn, with a pair of tokens for each box."""
    return turn.replace(OBJECTS, "".join(PAIR.replace(NUMBER, str(number)) for number in range(count)))
