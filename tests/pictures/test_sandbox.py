"""Decoders: if one fails, only its own picture is lost, and none can read a secret."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from sorce.errors import BadPhoto, SorceError
from sorce.pictures import sandbox
from sorce.pictures.isolation import PASSED_ON, environment
from sorce.pictures.limits import DecodeLimits
from sorce.pictures.sandbox import DecoderPool, DecoderProcess
from tests.kit.pictures import SIZE, STORED_AS, content, noise

LIMITS = DecodeLimits(seconds=2, memory=600_000_000)


@pytest.fixture(scope="module")
def openers() -> Iterator[DecoderPool]:
    openers = DecoderPool(LIMITS)
    yield openers
    openers.close()


def test_a_picture_that_hangs_without_work_is_given_up_by_the_clock() -> None:
    openers = DecoderPool(DecodeLimits(seconds=1, clock_factor=0.1))
    with openers.one() as opener:
        process = opener._process
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(BadPhoto, match=r"^was not open after 0.1 s, which is the limit$"):
            opener.pixels(content("PNG"))
    openers.close()
    assert process.returncode == -signal.SIGKILL


def test_a_decoder_that_crashes_costs_its_picture_alone() -> None:
    openers = DecoderPool(LIMITS)

    def crashing() -> None:
        with openers.one() as opener:
            opener.pixels(content("PNG"))
            opener._process.send_signal(signal.SIGSEGV)
            opener.picture()

    with pytest.raises(BadPhoto, match=r"^crashes what opens it \(SIGSEGV\)$"):
        crashing()
    with openers.one() as opener:
        assert opener.pixels(content("PNG")) == SIZE[0] * SIZE[1]
    openers.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("before", ["pixels", "picture"])
def test_a_process_that_somebody_else_ends_is_no_fault_of_the_picture(number: signal.Signals, before: str) -> None:
    """As a system that runs out of memory does."""
    openers = DecoderPool(LIMITS)
    with openers.one() as opener:
        if before == "picture":
            opener.pixels(content("PNG"))
        opener._process.send_signal(number)
        if before == "pixels":
            assert opener.pixels(content("PNG")) == SIZE[0] * SIZE[1]
        assert opener.picture().image.size == SIZE
        assert opener.works
    openers.close()


@pytest.mark.parametrize("orientation", [1, *STORED_AS])
def test_strips_are_the_picture_in_parts(openers: DecoderPool, tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = tmp_path / "noise.png"
    with Image.open(BytesIO(noise("PNG"))) as image:
        image.crop((0, 0, 90, 50)).save(file, exif=exif)
    with openers.one() as opener:
        opener.pixels(file.read_bytes())
        whole = opener.picture().image
        opener.pixels(file.read_bytes())
        size, strips = opener.strips(32)
        joined = Image.new("RGB", size)
        for number, strip in enumerate(strips):
            joined.paste(strip, (0, 32 * number))
        assert opener.works
    assert whole.size == size == ((90, 50) if orientation < 5 else (50, 90))
    assert joined.tobytes() == whole.tobytes()


def test_a_decoder_that_is_ended_between_strips_starts_again(openers: DecoderPool) -> None:
    with openers.one() as opener:
        opener.pixels(noise("PNG"))
        size, strips = opener.strips(150)
        first = next(strips)
        opener._process.kill()
        assert (size, first.size, next(strips).size) == ((200, 200), (200, 150), (200, 50))
        assert list(strips) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process in /proc")
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_photo_is_in_memory_once(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (4000, 3000)).save(tmp_path / "large.jpg", exif=exif)
    # Pillow takes four bytes for a pixel.
    once, openers = 4 * 4000 * 3000, DecoderPool(LIMITS)
    with openers.one() as opener:
        opener.pixels((tmp_path / "large.jpg").read_bytes())
        before = most_memory(opener)
        _, strips = opener.strips(512)
        shared = [os.fstat(opener._pixels).st_size for _ in strips]
        assert once <= most_memory(opener) - before < 1.5 * once
    openers.close()
    assert max(shared) <= 3 * 4000 * 512


def most_memory(opener: DecoderProcess) -> int:
    """The most bytes that the decoder has ever had in memory."""
    lines = Path(f"/proc/{opener._process.pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_picture_whose_process_is_ended_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "START", "import os, signal\n" + sandbox.START.replace("main()", ENDING))
    openers = DecoderPool(LIMITS)
    with openers.one() as opener, pytest.raises(BadPhoto, match=r"^crashes what opens it \(SIGKILL\)$"):
        opener.pixels(content("PNG"))
    openers.close()


ENDING = "from sorce.pictures import decoder\ndecoder.decode = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nmain()"


def test_what_fails_between_two_questions_does_not_mix_up_pictures(openers: DecoderPool) -> None:
    def failing() -> None:
        with openers.one() as opener:
            opener.pixels(content("PNG", (10, 10)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    for width in (20, 30):  # The first of these pictures is never taken.
        with openers.one() as opener:
            assert opener.pixels(content("PNG", (width, 10))) == 10 * width


def test_a_process_that_cannot_start_is_no_fault_of_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(SorceError, match=r"^the process that opens pictures ended as it started \(exit code 1\); is "):
        DecoderProcess(LIMITS)


def test_what_lies_in_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`cd untrusted && sorce ingest .`"""
    for name in ("json", "sorce", "PIL"):
        (tmp_path / f"{name}.py").write_text("open('planted-module-ran', 'w')")
    monkeypatch.chdir(tmp_path)
    openers = DecoderPool(LIMITS)
    with openers.one() as opener:
        assert opener.pixels(content("PNG")) == SIZE[0] * SIZE[1]
    openers.close()
    assert not (tmp_path / "planted-module-ran").exists()


SECRETS = (
    "OPENSEARCH_PASSWORD",
    "OPENSEARCH_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "SORCE_API_KEY",
    "HF_TOKEN",
    "GITHUB_TOKEN",
    "OPENAI_API_KEY",
    "DATABASE_URL",
    "PIP_INDEX_URL",
    "HTTPS_PROXY",
)
SECRET = "s3cret-and-long"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


@pytest.mark.fault("10.5.2")
def test_only_variables_that_are_listed_reach_a_decoder() -> None:
    given = dict.fromkeys(SECRETS, SECRET) | {"A_NAME_NOBODY_HAS_THOUGHT_OF": SECRET, "PATH": "/bin", "LANG": "C"}
    assert environment(given) == {"PATH": "/bin", "LANG": "C", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    assert not any(word in name for name in PASSED_ON for word in ("KEY", "TOKEN", "PASS", "SECRET", "PROXY", "URL"))


@linux
@pytest.mark.fault("10.5.2")
def test_a_decoder_is_told_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, SECRET)
    opener = DecoderProcess(LIMITS)
    told = Path(f"/proc/{opener._process.pid}/environ").read_bytes()
    opener.close()
    assert b"PATH=" in told
    assert SECRET.encode() not in told


def test_a_decoder_starts_without_numpy() -> None:
    """It would take twice as long to start, and each run of an ingest starts some."""
    said = "import sys, sorce.pictures.decoder; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], capture_output=True, check=True).stdout == b"False\n"


SPYING = """
import os
from sorce.errors import BadPhoto
from sorce.pictures import decoder
def spy(*_):
    try:
        with open(f"/proc/{os.getppid()}/WHAT", "rb") as file:
            found = file.read(1) if "WHAT" == "mem" else file.read()
    except OSError as error:
        raise BadPhoto(f"{type(error).__name__}") from error
    raise BadPhoto(f"has read {found!r}")
decoder.decode = spy
main()"""
"""What an exploited decoder may do. Reading address 0 fails in any case; opening must fail."""

PARENT = """
import sys
from sorce.errors import BadPhoto
from sorce.pictures import sandbox
from sorce.pictures.limits import DecodeLimits
sandbox.START = sandbox.START.removesuffix("main()") + sys.argv[1]
try:
    sandbox.DecoderProcess(DecodeLimits()).pixels(b"")
except BadPhoto as error:
    print(error)
"""


WITHOUT_RIGHTS = """
import ctypes
from sorce.pictures.isolation import drop_capabilities
# SECBIT_NOROOT, and its lock: else a program that root starts gets all rights again.
assert ctypes.CDLL(None).prctl(28, 3, 0, 0, 0) == 0
drop_capabilities()
"""
"""Makes root like any other user, but root may still read the folder of this Python."""


def spied(what: str, rights: str, unprotected: str = "") -> str:
    """What a decoder gets to see of the process that started it."""
    if rights == "no rights" and os.geteuid() == 0:
        unprotected = WITHOUT_RIGHTS + unprotected
    done = subprocess.run(
        [sys.executable, "-c", unprotected + PARENT, SPYING.replace("WHAT", what)],
        capture_output=True,
        text=True,
        check=False,
        env={"OPENSEARCH_PASSWORD": SECRET, "PATH": os.environ["PATH"]},
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.strip()


@linux
@pytest.mark.fault("10.5.1")
@pytest.mark.parametrize("what", ["environ", "mem"])
@pytest.mark.parametrize("rights", ["own rights", "no rights"])
def test_a_decoder_cannot_look_into_the_process_that_started_it(what: str, rights: str) -> None:
    """As root and as anybody: what protects a process from its own user does not protect it from root."""
    assert spied(what, rights) == "PermissionError"


@linux
def test_without_protection_these_tests_would_see_the_secret() -> None:
    unprotected = "from sorce.pictures import sandbox\nsandbox.hide_this_process = lambda: None\n"
    assert SECRET in spied("environ", "no rights", unprotected)


@pytest.mark.fault("10.s.21")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("b'no JSON'", r"^makes its decoder give answers that make no sense$"),
        ("b'[[100000, 100000], null, null]'", r"^makes its decoder give answers that make no sense$"),
        ("b'[[-1, -1], null, null]'", r"^makes its decoder give answers that make no sense$"),
        ("b'[1]'", r"^makes its decoder give answers that make no sense$"),
        ("b'[[1, 1], \"yesterday\", null]'", r"^makes its decoder give answers that make no sense$"),
        ("b'x' * 100000", r"^crashes what opens it"),
    ],
)
def test_what_a_decoder_answers_is_not_trusted(answer: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lying = f"""
from sorce.pictures import decoder
def lie(connection, *_):
    connection.send_bytes(b"[1, 1]")
    connection.recv_bytes()
    connection.send_bytes({answer})
decoder.decode = lie
main()"""
    monkeypatch.setattr(sandbox, "START", sandbox.START.removesuffix("main()") + lying)
    openers = DecoderPool(LIMITS)
    with openers.one() as opener:
        assert opener.pixels(content("PNG")) == 1
        with pytest.raises(BadPhoto, match=reason):
            opener.picture()
    openers.close()


@pytest.mark.parametrize("lie", ["os.ftruncate(shared, 10)", "photo.size = (1, 1)"])
def test_strips_of_another_size_are_not_trusted(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lying = f"""
import json, os
from types import SimpleNamespace
from sorce.pictures import decoder
def lie(connection, shared, _):
    photo = SimpleNamespace(size=(2, 100))
    connection.send_bytes(b"[2, 100]")
    for strip in range(2):
        connection.recv_bytes()
        os.ftruncate(shared, 300)
        if strip:
            {lie}
        connection.send_bytes(json.dumps([photo.size, None, None, [], None]).encode())
decoder.decode = lie
main()"""
    monkeypatch.setattr(sandbox, "START", sandbox.START.removesuffix("main()") + lying)
    openers = DecoderPool(LIMITS)
    with openers.one() as opener:
        opener.pixels(content("PNG"))
        size, strips = opener.strips(50)
        assert (size, next(strips).size) == ((2, 100), (2, 50))
        with pytest.raises(BadPhoto, match=r"^makes its decoder give answers that make no sense$"):
            next(strips)
    openers.close()


def test_a_process_that_never_starts_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "STARTING", 0.2)
    monkeypatch.setattr(sandbox, "START", "import time; time.sleep(60)")
    with pytest.raises(SorceError, match=r"^the process that opens pictures did not start within 0.2 s; is this machi"):
        DecoderProcess(LIMITS)


def test_processes_end_with_the_one_that_started_them() -> None:
    script = """if True:
        import os, signal
        from sorce.pictures.limits import DecodeLimits
        from sorce.pictures.sandbox import DecoderProcess
        print(DecoderProcess(DecodeLimits())._process.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    process = int(done.stdout)
    while Path(f"/proc/{process}/cmdline").exists() and Path(f"/proc/{process}/cmdline").read_bytes():
        os.sched_yield()
