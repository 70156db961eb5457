"""Saved objects of Dashboards: what their tests find, on both lines, and the bytes of a stored thumbnail."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from figures import Line, at_least, at_most, exactly, not_taken
from PIL import Image
from tested import Case, run_tests

from sorce.pictures.loading import open_picture
from sorce.pictures.thumbnail import thumbnail
from training.scenes.bundled import FOLDER

TESTS = ["tests/dashboards"]
PHOTOS = Path(__file__).parents[2] / "shared/data/photos/images"
LINES = ("3.6.0", "2.19.1")
QUESTIONS, FIRST, SAMPLES, FALSE_SUCCESSES = 20, 10, 10, 2
PIXEL, MAX_THUMBNAIL = 1, 8000


def measures() -> Iterator[Line]:
    code, cases = run_tests(TESTS)
    bad = [case.name for case in cases if case.state in ("failure", "error")]
    yield exactly(
        "dashboards: tests that fail", len(bad), 0, f"of {len(cases)}, exit code {code}; {', '.join(bad[:5])}"
    )
    yield from validated(cases)
    yield boxes(cases)
    for line in LINES:
        yield from asked(cases, line)
    yield from installed(cases)
    yield from thumbnails()


def recorded(cases: list[Case], name: str) -> list[str]:
    """The values of one name, of tests that failed, too: a test records before it asserts."""
    return [value for case in cases for each, value in case.recorded if each == name]


def validated(cases: list[Case]) -> Iterator[Line]:
    objects, refused = recorded(cases, "objects built"), recorded(cases, "objects refused")
    built = sum(map(int, objects))
    yield exactly("dashboards: objects that the validator refuses", sum(map(int, refused)), 0, f"of {built}")
    samples = Counter(recorded(cases, "broken sample"))
    yield at_least("dashboards: broken samples refused", samples["refused"], SAMPLES, f"of {samples.total()}")


def boxes(cases: list[Case]) -> Line:
    """How far a box is from where the hit says, at most."""
    name, off = "dashboards: boxes in Chromium, pixels off at most", recorded(cases, "pixels off")
    if off:
        return at_most(name, max(map(float, off)), PIXEL, f"{len(off)} lines of OpenSearch, 60 boxes each")
    [why] = {case.reason for case in cases if case.name.startswith("test_boxes_lie")} or {"its test did not run"}
    return not_taken(name, why)


def asked(cases: list[Case], line: str) -> Iterator[Line]:
    for form in ("exact", "graph"):
        name = f"{form}, {line}"
        same = recorded(cases, f"questions as the template, {name}")
        if same:
            yield exactly(f"dashboards: questions as the template, {name}", sum(map(int, same)), QUESTIONS)
        else:
            yield not_taken(f"dashboards: questions as the template, {name}", "no test asked this line")
    first = recorded(cases, f"first ten as numpy, {line}")
    yield exactly(f"dashboards: filter of 1 %, hits as numpy's first ten, {line}", sum(map(int, first)), FIRST)
    panels, counting = set(recorded(cases, f"panel as numpy, {line}")), recorded(cases, f"panels that count, {line}")
    yield exactly(f"dashboards: panels whose counts are numpy's, {line}", len(panels), sum(map(int, counting)))


def installed(cases: list[Case]) -> Iterator[Line]:
    again, left = recorded(cases, "changed by a second install"), recorded(cases, "left by uninstall")
    told = recorded(cases, "false success")
    yield exactly("dashboards: objects changed by a second install", sum(map(int, again)), 0, f"{len(again)} tests")
    yield exactly("dashboards: false successes told", told.count("told"), FALSE_SUCCESSES)
    yield exactly("dashboards: objects left by uninstall", sum(map(int, left)), 0, f"{len(left)} tests")


def thumbnails() -> Iterator[Line]:
    """In Base64, as the index holds them: of the bundled scenes, of real photos where they are, and of noise."""
    noise = np.random.default_rng(19).integers(0, 256, (3000, 4000, 3), np.uint8)
    sets = {"40 scenes": sorted(FOLDER.glob("*.jpg")), "128 photos": sorted(PHOTOS.glob("*"))}
    pictures = {name: [open_picture(each).image for each in files] for name, files in sets.items()}
    for name, images in {**pictures, "noise of 12 megapixels": [Image.fromarray(noise)]}.items():
        if not images:
            yield not_taken(f"dashboards: bytes of a thumbnail at most, {name}", f"{PHOTOS} is not on this machine")
            continue
        taken = [len(b64encode(thumbnail(each))) for each in images]
        note = f"{np.mean(taken):.0f} on average"
        yield at_most(f"dashboards: bytes of a thumbnail at most, {name}", max(taken), MAX_THUMBNAIL, note)
