"""The prompts that ask a chat model for one word about a photo, a part of it, or a text.

Source: SORCE (arXiv 2505.24441) and its released `eval_sorce.py`; for E5-V's own wording, E5-V (arXiv 2407.12580).
White space is part of a prompt: never strip it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sorce.mappings import Box

SENTENCE = "<sent>"
"""The placeholder for a text in a template."""
PHOTO = "above image"
"""The words in a template for the photo. A regional prompt replaces them."""
CONTROL = re.compile(r"<\|[^|<>]+\|>|<image>")


@dataclass(frozen=True, slots=True)
class Template:
    """A chat turn about a photo (`image`, with the image token) and one about a text (`text`, with `<sent>`)."""

    name: str
    image: str
    text: str

    def asking(self, ask: Question) -> str:
        """The turn that asks for a part of the photo."""
        return self.image.replace(PHOTO, ask.words)

    def about(self, text: str) -> str:
        """The turn about a text."""
        return self.text.replace(SENTENCE, text)

    @property
    def control_tokens(self) -> list[str]:
        """The strings that must be single tokens."""
        return sorted(set(CONTROL.findall(self.image + self.text)))


@dataclass(frozen=True, slots=True)
class Question:
    """What a prompt asks for, and its nominal box: (x1, y1, x2, y2) as shares of width and height."""

    name: str
    words: str
    share: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def box(self, width: int, height: int) -> Box:
        """The box in pixels of a photo. It is nominal: the network was asked about a corner, but saw no crop of it."""
        x1, y1, x2, y2 = self.share
        return Box(x1 * width, y1 * height, x2 * width, y2 * height)


WHOLE = Question("whole", PHOTO)
# In the published order.
ASKS: Mapping[str, Sequence[Question]] = {
    "positional": (
        WHOLE,
        Question("left upper", f"the left upper corner in the {PHOTO}", (0.0, 0.0, 0.5, 0.5)),
        Question("left lower", f"the left lower corner in the {PHOTO}", (0.0, 0.5, 0.5, 1.0)),
        Question("right upper", f"the right upper corner in the {PHOTO}", (0.5, 0.0, 1.0, 0.5)),
        Question("right lower", f"the right lower corner in the {PHOTO}", (0.5, 0.5, 1.0, 1.0)),
    ),
    # These prompts name no position.
    "semantic": (
        WHOLE,
        Question("main component", f"the main component in the {PHOTO}"),
        Question("background", f"the background in the {PHOTO}"),
        Question("detail", f"the detail in the {PHOTO}"),
    ),
}

LLAMA3 = "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"
MISTRAL = "[INST] {} [/INST]"
QWEN3 = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
QWEN2 = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n" + QWEN3
LLAVA_IMAGE = "<image>"
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def _template(name: str, chat: str, image: str, verb: str = "Summarize", end: str = "") -> Template:
    return Template(
        name,
        chat.format(f"{image}\n{verb} {PHOTO} in one word:{end}"),
        chat.format(f"{SENTENCE}\n{verb} above sentence in one word:{end}"),
    )


TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in (
        _template("llama3", LLAMA3, LLAVA_IMAGE, end=" "),
        # E5-V's own examples say "Summary"; SORCE evaluates E5-V with "Summarize".
        _template("llama3-summary", LLAMA3, LLAVA_IMAGE, verb="Summary", end=" "),
        _template("mistral", MISTRAL, LLAVA_IMAGE),
        _template("qwen2", QWEN2, QWEN_IMAGE),
        # Unpublished: Qwen3-VL's own chat has no system turn.
        _template("qwen3", QWEN3, QWEN_IMAGE),
    )
}
