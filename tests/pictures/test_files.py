"""Which files are photos, their names, and their order."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from sorce.errors import BadPhoto, SorceError
from sorce.ingest import Files, Naming, Source
from sorce.mappings import Rejected
from sorce.pictures.files import named, read
from sorce.pictures.limits import MAX_BYTES
from sorce.pictures.names import composed, spellings


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(files: Files) -> list[str]:
    return [found.name if isinstance(found, Source) else found.path for found in files]


def below(folder: Path, *patterns: str) -> list[str]:
    found = names(Files([str(folder)], ignore=patterns))
    return [Path(name).relative_to(folder).as_posix() for name in found]


def test_a_folder_gives_the_pictures_below_it_in_order_of_name(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.JPG", "deep/er/c.webp", "notes.txt", "deep/video.mp4", "phone.heic")
    assert below(tmp_path) == ["a.JPG", "b.png", "deep/er/c.webp", "phone.heic"]


def test_other_files_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "notes.txt", "deep/video.mp4")
    assert Files([str(tmp_path)]).count() == (1, 2)


def test_a_named_file_is_always_tried(tmp_path: Path) -> None:
    touch(tmp_path, "odd.dat")
    assert names(Files([str(tmp_path / "odd.dat")], ignore=["*.dat"])) == [str(tmp_path / "odd.dat")]


@pytest.mark.parametrize("ignore", ["raw", "*.jpg", "*/raw/*"])
@pytest.mark.parametrize("folder_first", [True, False])
def test_a_named_file_is_tried_once_whatever_its_folder_leaves_out(
    tmp_path: Path, ignore: str, folder_first: bool
) -> None:
    touch(tmp_path, "deep/raw/a.jpg", "deep/raw/b.jpg", "c.png")
    paths = [str(tmp_path), str(tmp_path / "deep/raw/a.jpg")]
    found = Files(paths if folder_first else paths[::-1], ignore=[ignore])
    assert sorted(Path(name).name for name in names(found)) == ["a.jpg", "c.png"]
    assert found.count()[0] == 2


def test_ignored_names_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a_thumb.jpg", ".cache/b.jpg", "2024/raw/c.jpg", "2024/d.jpg")
    assert below(tmp_path, "*_thumb.*", ".cache", "*/2024/raw") == ["2024/d.jpg", "a.jpg"]


def test_a_photo_named_twice_comes_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "deep/b.jpg")
    paths = named([str(tmp_path), f"{tmp_path}/deep/../deep", f"{tmp_path}/a.jpg", f"{tmp_path}/a.jpg"], [])
    assert len(names(Files(paths))) == 2


def test_a_dash_stands_for_a_list_of_files_and_folders() -> None:
    assert named(["-", "/c.jpg"], ["/a.jpg\n", "\n", "/photos\r\n"]) == ["/a.jpg", "/photos", "/c.jpg"]


def test_links_to_folders_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    touch(tmp_path, "photos/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "photos/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/loop").symlink_to(tmp_path / "photos")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/self.jpg").symlink_to("self.jpg")
    assert below(tmp_path / "photos") == ["a.jpg", "more/b.jpg", "self.jpg"]


def test_a_folder_whose_name_ends_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "album.jpg/a.jpg")
    assert below(tmp_path) == ["album.jpg/a.jpg"]


def test_a_name_that_is_not_utf8_is_rejected(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"x")
    assert list(Files([str(tmp_path)])) == [
        Rejected(f"{tmp_path}/caf\\xe9.jpg", "has a name that is not UTF-8; rename it")
    ]


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(BadPhoto, match=r"^is not a regular file$"):
        read(tmp_path / "pipe.jpg")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(BadPhoto, match=r"^cannot be read \(No such file or directory\)$"):
        read(tmp_path / "dangling.jpg")


def test_a_file_too_large_for_a_photo_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "film.jpg").open("wb") as film:
        film.truncate(MAX_BYTES + 1)
    with pytest.raises(BadPhoto, match=r"^is larger than 512 MB$"):
        read(tmp_path / "film.jpg")


def test_a_uri_is_percent_encoded_and_a_folder_is_not() -> None:
    found = Naming().source(Path("/photos/2024 été/a#1.jpg"))
    assert isinstance(found, Source)
    assert (found.uri, found.folder, found.file_name) == (
        "file:///photos/2024%20%C3%A9t%C3%A9/a%231.jpg",
        "/photos/2024 été",
        "a#1.jpg",
    )
    assert found.photo_id == "15b022554a67a47fe04041c113bdb2a9"


def test_a_root_makes_names_relative() -> None:
    naming = Naming(Path("/photos"))
    found = [naming.source(Path("/photos/2024 a/b.jpg")), naming.source(Path("/photos/c.jpg"))]
    assert [(each.uri, each.folder) for each in found if isinstance(each, Source)] == [
        ("2024%20a/b.jpg", "2024 a"),
        ("c.jpg", "."),
    ]


@pytest.mark.parametrize("naming", [Naming(), Naming(Path("/photos"))])
def test_a_uri_leads_back_to_its_file(naming: Naming) -> None:
    file = Path("/photos/2024 été/a%20#1.jpg")
    assert naming.file(naming.uri(file)) == file


def test_a_uri_of_the_other_kind_leads_nowhere() -> None:
    assert Naming().file("a.jpg") is None
    assert Naming(Path("/photos")).file("file:///photos/a.jpg") is None


def test_a_path_outside_the_root_is_refused() -> None:
    with pytest.raises(SorceError, match=r"^'/other/a.jpg' is not inside the root '/photos'; name a --root that holds"):
        Files(["/photos/b.jpg", "/other/a.jpg"], Naming(Path("/photos")))


NFC, NFD = (unicodedata.normalize(form, "Müller Übung") for form in ("NFC", "NFD"))


@pytest.mark.fault("6.6.1")
def test_folders_and_names_are_known_as_a_keyboard_writes_them_and_still_lead_to_their_file(tmp_path: Path) -> None:
    """As macOS stores them; Linux keeps whatever form it is given."""
    touch(tmp_path, f"{NFD}/{NFD}.jpg")
    [found] = Files([str(tmp_path)], Naming(tmp_path))
    assert isinstance(found, Source)
    assert (found.folder, found.file_name) == (NFC, f"{NFC}.jpg")
    assert found.read() == b"x"
    assert Naming(tmp_path).file(found.uri) == tmp_path / NFD / f"{NFD}.jpg"


@pytest.mark.fault("6.s.25")
@pytest.mark.parametrize("pattern", [NFC, NFD, f"*/{NFC}", f"{NFD[:8]}*"])
def test_a_pattern_leaves_out_what_looks_like_it(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path, f"{NFD}/a.jpg", "b.jpg")
    assert below(tmp_path, pattern) == ["b.jpg"]


@pytest.mark.fault("6.6.2")
def test_a_name_in_labels_is_tried_as_written_and_then_with_windows_separators() -> None:
    assert spellings(composed(f"images\\{NFD}.jpg")) == (f"images\\{NFC}.jpg", f"images/{NFC}.jpg")
    assert spellings("images/a.jpg") == ("images/a.jpg",)
