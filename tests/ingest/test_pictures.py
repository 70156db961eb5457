"""Bad and odd pictures of all kinds: each is indexed correctly or rejected with the right reason, at bounded cost."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from opensearchpy import OpenSearch
from PIL import Image

from sorce.cluster import connect
from sorce.errors import BadPhoto
from sorce.ingest import Options, Watch, ingest_photos
from sorce.ingest.index import TargetIndex
from sorce.mappings import Rejected
from sorce.pictures import files as files_module
from sorce.pictures.files import read
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool
from tests.ingest.conftest import CountingModel, files, stored
from tests.kit.fake import _of_colour
from tests.kit.pictures import QUARTERS, SIZE, Kind, bad, content, odd, quarters, written

LIMITS = DecodeLimits(seconds=2, memory=600_000_000)
ODD, BAD = list(odd()), list(bad())

Record = Callable[[str, object], None]


@pytest.fixture
def client(opensearch: str) -> Iterator[OpenSearch]:
    """Of one line only: what is tried here is what becomes of pictures."""
    with connect(opensearch) as client:
        yield client


@pytest.fixture(scope="module")
def openers() -> Iterator[DecoderPool]:
    openers = DecoderPool(LIMITS)
    yield openers
    openers.close()


def opened(openers: DecoderPool, file: Path) -> Image.Image:
    """As ingest opens it. Whatever becomes of it, the process has had no more memory than its limit."""
    content = read(file)
    with openers.one() as opener:
        try:
            opener.pixels(content)
            return opener.picture().image
        finally:
            if opener.works and sys.platform == "linux":
                status = Path(f"/proc/{opener._process.pid}/status").read_text()
                [peak] = re.findall(r"VmHWM:\s+(\d+) kB", status)
                assert int(peak) * 1024 < LIMITS.memory


def corners(photo: Image.Image) -> list[Any]:
    near, far = 0.25, 0.75
    places = [(near, near), (far, near), (near, far), (far, far)]
    return [photo.getpixel((int(x * photo.width), int(y * photo.height))) for x, y in places]


def made(kind: Kind, folder: Path) -> Path:
    file = folder / kind.file
    file.parent.mkdir(exist_ok=True)
    kind.make(file)
    return file


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", [kind.param for kind in ODD])
def test_an_odd_picture_is_seen_as_a_person_sees_it(
    openers: DecoderPool, tmp_path: Path, kind: Kind, record_property: Record
) -> None:
    photo = opened(openers, made(kind, tmp_path))
    assert (photo.mode, photo.size) == ("RGB", kind.size)
    assert np.abs(np.subtract(corners(photo), kind.quarters)).max() <= kind.tolerance
    record_property("picture indexed", kind.name)


@pytest.mark.parametrize("kind", [kind.param for kind in BAD])
def test_a_bad_picture_is_refused_with_the_reason(
    openers: DecoderPool, tmp_path: Path, kind: Kind, record_property: Record
) -> None:
    assert kind.reason is not None
    with pytest.raises(BadPhoto) as caught:
        opened(openers, made(kind, tmp_path))
    assert re.fullmatch(kind.reason, str(caught.value))
    record_property("picture rejected", kind.name)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_folder_of_all_of_them_is_indexed_and_rejected_to_the_last_file(
    client: OpenSearch, index: TargetIndex, tmp_path: Path, record_property: Record
) -> None:
    class Listening(Watch):
        def rejected(self, reject: Rejected) -> None:
            rejects[reject.path] = reject.reason

    # Costly ones are tested above. They are left out here: with wide limits, some of them are photos.
    quick = [kind for kind in BAD if not kind.is_costly]
    there = {str(made(kind, tmp_path)): kind for kind in [*ODD, *quick]}
    for copy in ("once.png", "twice.png"):
        there[str(tmp_path / copy)] = Kind(copy, copy, written(content("PNG")))
        made(there[str(tmp_path / copy)], tmp_path)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).write_bytes(content("JPEG"))
    rejects: dict[str, str] = {}
    report = ingest_photos(client, index.name, CountingModel(), files(tmp_path), Options(workers=2), Listening())
    assert rejects.pop(f"{tmp_path}/caf\\xe9.jpg") == "has a name that is not UTF-8; rename it"
    assert (report.new, report.rejected) == (len(ODD) + 2, len(quick) + 1)
    assert set(rejects) == {path for path, kind in there.items() if kind.reason is not None}
    assert all(re.fullmatch(there[path].reason or "", reason) for path, reason in rejects.items())
    found = {f"{document['folder']}/{document['file_name']}": document for document in stored(index).values()}
    assert set(found) == set(there) - set(rejects)
    for path, document in found.items():
        assert_regions(document, there[path])
    record_property("pictures in one ingest", report.photos)


def assert_regions(document: dict[str, Any], kind: Kind) -> None:
    """The boxes and vectors that the fake model makes of such quarters."""
    width, height = kind.size
    assert (document["width"], document["height"]) == kind.size
    whole, *parts = document["regions"]
    assert [whole[side] for side in ("x1", "y1", "x2", "y2")] == [0, 0, width, height]
    for number, (part, colour) in enumerate(zip(parts, kind.quarters, strict=True)):
        x, y = number % 2 * width / 2, number // 2 * height / 2
        assert [part[side] for side in ("x1", "y1", "x2", "y2")] == [x, y, x + width / 2, y + height / 2]
        # The bound is loose for formats with blocks that cross the middle.
        assert np.dot(part["vec"], _of_colour(colour)) > 0.95, kind.name


def test_heic_is_read_with_the_plug_in(openers: DecoderPool, tmp_path: Path, record_property: Record) -> None:
    pillow_heif.register_heif_opener()
    file = tmp_path / "photo.heic"
    quarters().save(file, "HEIF", quality=95)
    photo = opened(openers, file)
    assert photo.size == SIZE
    assert np.abs(np.subtract(corners(photo), QUARTERS)).max() <= 6
    record_property("picture indexed", "HEIC with the plug-in")


def test_heic_without_the_plug_in_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record_property: Record
) -> None:
    """Python finds a module first that cannot be imported."""
    (tmp_path / "pillow_heif.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bare = DecoderPool(LIMITS)
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    try:
        with pytest.raises(BadPhoto, match=r"^is HEIC, which needs a plug-in \(pip install pillow-heif\)$"):
            opened(bare, tmp_path / "photo.heic")
    finally:
        bare.close()
    record_property("picture rejected", "HEIC without the plug-in")


def test_an_unreadable_file_is_refused(tmp_path: Path, record_property: Record) -> None:
    file = tmp_path / "secret.jpg"
    file.write_bytes(content("JPEG"))
    file.chmod(0)
    user = os.geteuid()
    if user == 0:
        # Root can read all files.
        os.seteuid(65534)
    try:
        with pytest.raises(BadPhoto, match=r"^cannot be read \(Permission denied\)$"):
            read(file)
    finally:
        os.seteuid(user)
    record_property("picture rejected", "unreadable file")


def test_a_file_that_grows_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    file = tmp_path / "growing.jpg"
    file.write_bytes(content("JPEG")[:200])
    looked = files_module.os.fstat

    def look_and_write(descriptor: int) -> os.stat_result:
        status = looked(descriptor)
        with file.open("ab") as end:
            end.write(b"more")
        return status

    monkeypatch.setattr(files_module.os, "fstat", look_and_write)
    with pytest.raises(BadPhoto, match=r"^was changed while it was read; run the same command again$"):
        read(file)
    record_property("picture rejected", "grows while it is read")


def test_a_file_that_has_become_a_fifo_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and its opening."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(content("JPEG"))
    status = file.stat()
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(Path, "stat", lambda _: status)
    assert read(file) == b""


def test_the_collection_is_as_large_as_it_should_be() -> None:
    assert len({kind.name for kind in [*ODD, *BAD]}) == len(ODD) + len(BAD) >= 40
