"""Photos in stores and archives: their identity, what is known of them, and what may be opened."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from PIL import Image

from sorce.errors import BadPhoto, SorceError
from sorce.mappings import Rejected
from sorce.pictures.remote import StorePhotos, canonical_uri, is_remote, named_source
from sorce.pictures.source import Source
from sorce.pictures.stores import PhotoGone, StorePrefix, filesystem, look_at_store, store_prefix
from sorce.pictures.uris import Root, content_below, content_named, content_of, look_below, parse_root
from tests.kit.s3 import environment, s3_client, s3_server

BUCKET = "photos"


def jpeg(colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(written, "JPEG")
    return written.getvalue()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("s3")
    with s3_server(folder / "log") as address, pytest.MonkeyPatch.context() as patch:
        for name, value in environment(address).items():
            patch.setenv(name, value)
        filesystem.cache_clear()
        client = s3_client(address)
        client.create_bucket(Bucket=BUCKET)
        for key in ("a.jpg", "shelf/b c.JPG", "shelf/deep/ü#1?.png", "shelf/notes.txt", "other/d.jpg"):
            client.put_object(Bucket=BUCKET, Key=key, Body=jpeg())
        client.put_object(Bucket=BUCKET, Key="shelf/", Body=b"")
        client.put_object(Bucket=BUCKET, Key="x.tar", Body=tar("in/e.jpg", "in/f.png", "readme.txt"))
        yield client
        filesystem.cache_clear()


def tar(*names: str, mode: str = "w", **kind: Any) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode, **kind) as archive:  # type: ignore[call-overload]
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name)
            content = jpeg(("red", "green", "blue")[number])
            member.size, member.mtime = len(content), 1_700_000_000
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "a.jpg").write_bytes(jpeg())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path.startswith("/moved"):
                self.send_response(302)
                self.send_header("Location", "/a.jpg")
                self.end_headers()
                return
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def sources(uri: str, *ignore: str) -> list[Source]:
    found = list(StorePhotos(uri, ignore))
    assert not [each for each in found if isinstance(each, Rejected)]
    return [each for each in found if isinstance(each, Source)]


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("s3a://bucket/a b.jpg", "s3://bucket/a b.jpg"),
        ("S3://bucket/A.jpg", "s3://bucket/A.jpg"),
        ("gcs://bucket/a.jpg", "gs://bucket/a.jpg"),
        ("abfs://box/a.jpg", "az://box/a.jpg"),
        ("HTTPS://Host.Example:443/A.jpg#part", "https://host.example/A.jpg"),
        ("https://h/a.jpg?X-Amz-Signature=1&X-Amz-Expires=60&v=2", "https://h/a.jpg?v=2"),
        ("https://h/a.jpg?X-Goog-Date=1&X-Goog-Signature=2", "https://h/a.jpg"),
        ("https://h/a.jpg?Signature=1&Expires=2&Key=3", "https://h/a.jpg?Key=3"),
        ("https://h/a.jpg?sig=1&se=2&sp=r&sv=3&sr=b&st=4&size=9", "https://h/a.jpg?size=9"),
        ("https://h/a.jpg?expires=1&signature=2&sigma=3", "https://h/a.jpg?expires=1&signature=2&sigma=3"),
        ("tar://in/a.jpg::s3a://bucket/x.tar", "tar://in/a.jpg::s3://bucket/x.tar"),
        ("tar://a.jpg::https://h/x.tar?sig=1", "tar://a.jpg::https://h/x.tar"),
        ("tar://a.jpg::/data/x.tar", "tar://a.jpg::file:///data/x.tar"),
    ],
)
def test_only_the_parameters_of_a_signature_are_left_out(given: str, known: str) -> None:
    assert is_remote(given)
    assert canonical_uri(given) == known
    assert canonical_uri(known) == known


@pytest.mark.parametrize("path", ["photos/a.jpg", "/a.jpg", "file:///a.jpg", "ftp://h/a.jpg", "c:/a.jpg"])
def test_paths_are_not_of_a_store(path: str) -> None:
    assert not is_remote(path)


@pytest.mark.parametrize(
    "uri", ["s3://", "https://u:p@h/a.jpg", "https://[h/a.jpg", "tar://a.jpg", "tar://a::ssh://h/x", "s3://b/%00"]
)
def test_a_uri_that_names_nothing_is_refused(uri: str) -> None:
    with pytest.raises(SorceError):
        canonical_uri(uri)
    assert isinstance(named_source(uri), Rejected)


@pytest.mark.usefixtures("s3")
def test_a_prefix_gives_the_pictures_below_it() -> None:
    found = sources(f"s3://{BUCKET}/shelf")
    assert [each.uri for each in found] == [f"s3://{BUCKET}/shelf/b c.JPG", f"s3://{BUCKET}/shelf/deep/ü#1?.png"]
    assert [each.file_name for each in found] == ["b c.JPG", "ü#1?.png"]
    assert found[0].folder == f"s3://{BUCKET}/shelf"
    assert all(each.etag and '"' not in each.etag and each.modified_at and each.size == len(jpeg()) for each in found)
    assert [each.read() for each in found] == [jpeg(), jpeg()]
    assert StorePhotos(f"s3://{BUCKET}/shelf").count() == (2, 1)
    assert [each.uri for each in sources(f"s3://{BUCKET}/shelf", "*.png")] == [f"s3://{BUCKET}/shelf/b c.JPG"]


@pytest.mark.usefixtures("s3")
def test_one_object_is_tried_whatever_its_name() -> None:
    [found] = sources(f"s3://{BUCKET}/shelf/notes.txt")
    assert found.uri == f"s3://{BUCKET}/shelf/notes.txt"


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("uri", ["s3://photos/nothing", "s3://no-such-bucket/a"])
def test_what_is_not_there_is_an_error_of_one_sentence(uri: str) -> None:
    with pytest.raises(SorceError, match="is not there"):
        list(StorePhotos(uri))


def test_keys_with_two_slashes_are_found(s3: Any) -> None:
    keys = ("odd//a.jpg", "odd//b/c.jpg", "odd/d.jpg")
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=jpeg())
    found = sources(f"s3://{BUCKET}/odd")
    assert sorted(each.uri for each in found) == [f"s3://{BUCKET}/{key}" for key in keys]
    assert {each.read() for each in found} == {jpeg()}
    [one] = sources(f"s3://{BUCKET}/odd//a.jpg")
    assert one.looked_at().etag == found[0].etag


@pytest.mark.usefixtures("s3")
def test_a_photo_whose_bucket_is_missing_is_not_gone() -> None:
    with pytest.raises(PhotoGone):
        look_at_store(f"s3://{BUCKET}/gone.jpg")
    with pytest.raises(BadPhoto, match="lies in a bucket that is not there") as told:
        look_at_store("s3://no-such-bucket/gone.jpg")
    assert not isinstance(told.value, PhotoGone)


def test_another_clients_write_is_seen_at_once(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="new/one.jpg", Body=jpeg("red"))
    [before] = sources(f"s3://{BUCKET}/new")
    s3.put_object(Bucket=BUCKET, Key="new/one.jpg", Body=jpeg("green"))
    s3.put_object(Bucket=BUCKET, Key="new/two.jpg", Body=jpeg("blue"))
    after, two = sources(f"s3://{BUCKET}/new")
    assert before.etag != after.etag
    assert two.read() == jpeg("blue")


@pytest.mark.usefixtures("s3")
def test_a_named_photo_is_looked_at_only_when_its_turn_comes() -> None:
    found = named_source(f"s3://{BUCKET}/a.jpg")
    assert isinstance(found, Source)
    assert found.size is None
    looked = found.looked_at()
    assert looked.size == len(jpeg())
    assert looked.etag
    gone = named_source(f"s3://{BUCKET}/gone.jpg")
    assert isinstance(gone, Source)
    assert gone.looked_at() == gone
    with pytest.raises(BadPhoto, match="is not there"):
        gone.read()


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("uri", ["tar://::s3://photos/x.tar", "tar://*::s3://photos/x.tar"])
def test_an_archive_gives_its_pictures(uri: str) -> None:
    found = sources(uri)
    assert [each.uri for each in found] == [f"tar://in/{name}::s3://{BUCKET}/x.tar" for name in ("e.jpg", "f.png")]
    assert [each.read() for each in found] == [jpeg("red"), jpeg("green")]
    assert [each.file_name for each in found] == ["e.jpg", "f.png"]
    assert found[0].folder == f"s3://{BUCKET}/x.tar/in"
    [whole] = sources(f"s3://{BUCKET}/x.tar")
    assert {each.etag for each in found} == {whole.etag}


@pytest.mark.usefixtures("s3")
def test_one_member_and_a_pattern_of_members() -> None:
    assert [each.file_name for each in sources(f"tar://*.png::s3://{BUCKET}/x.tar")] == ["f.png"]
    assert [each.file_name for each in sources(f"tar://readme.txt::s3://{BUCKET}/x.tar")] == ["readme.txt"]


def test_an_archive_on_a_disk(tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    file.write_bytes(tar("e.jpg"))
    [found] = sources(f"tar://::{file}")
    assert found.uri == f"tar://e.jpg::file://{file}"
    assert found.etag is None
    assert found.modified_at is not None
    assert found.read() == jpeg()
    assert content_below(found.uri, [tmp_path]) == jpeg()
    with pytest.raises(BadPhoto, match="outside"):
        content_below(found.uri, [tmp_path / "elsewhere"])


def test_members_have_any_names(tmp_path: Path) -> None:
    """Names that lead out of the archive only name members; one that is not UTF-8 is rejected."""
    file, names = tmp_path / "x.tar", ("../../up.jpg", "/etc/a.jpg", "./in/[*].jpg")
    file.write_bytes(tar(*names))
    found = sources(f"tar://::{file}")
    assert [each.uri for each in found] == [f"tar://{name}::file://{file}" for name in names]
    assert [each.read() for each in found] == [jpeg("red"), jpeg("green"), jpeg("blue")]
    assert [content_below(each.uri, [tmp_path]) for each in found] == [jpeg("red"), jpeg("green"), jpeg("blue")]
    assert (found[2].folder, found[2].file_name) == (f"file://{file}/in", "[*].jpg")
    file.write_bytes(tar("a::/b.jpg", "c.jpg"))
    assert [each.file_name for each in sources(f"tar://::{file}")] == ["b.jpg", "c.jpg"]
    file.write_bytes(tar("ü.jpg", "c.jpg", encoding="latin-1", format=tarfile.GNU_FORMAT))
    first, second = StorePhotos(f"tar://::{file}")
    assert first == Rejected(f"tar://\\udcfc.jpg::file://{file}", "has a name that is not UTF-8; rename it")
    assert isinstance(second, Source)
    assert second.read() == jpeg("green")


def test_a_compressed_or_broken_archive_is_an_error(tmp_path: Path) -> None:
    for name, content in (("x.tar.gz", tar("e.jpg", mode="w:gz")), ("y.tar", b"no archive at all")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SorceError, match="unpacked"):
            list(StorePhotos(f"tar://::{tmp_path / name}"))


def test_a_cut_archive_gives_no_half_of_a_photo(tmp_path: Path) -> None:
    file = tmp_path / "x.tar"
    file.write_bytes(tar("e.jpg"))
    [found] = sources(f"tar://::{file}")
    file.write_bytes(tar("e.jpg")[:600])
    with pytest.raises(BadPhoto, match="cut short"):
        found.read()


def test_a_photo_of_the_web(web: str) -> None:
    [found] = sources(f"{web}/a.jpg?sig=secret")
    assert found.uri == f"{web}/a.jpg"
    assert found.modified_at is not None
    assert found.read() == jpeg()
    with pytest.raises(SorceError, match="is not there"):
        list(StorePhotos(f"{web}/gone.jpg"))


def test_a_server_may_send_on_in_an_ingest_and_not_in_a_view(web: str) -> None:
    assert content_named(f"{web}/moved.jpg") == jpeg()
    with pytest.raises(BadPhoto, match="302"):
        content_below(f"{web}/moved.jpg", [store_prefix(web)])


@pytest.mark.usefixtures("s3")
def test_a_view_opens_only_below_the_prefixes() -> None:
    shelf: list[Root] = [parse_root(f"s3://{BUCKET}/shelf/")]
    assert content_below(f"s3://{BUCKET}/shelf/b c.JPG", shelf) == jpeg()
    assert look_below(f"s3://{BUCKET}/shelf/b c.JPG", shelf).size == len(jpeg())
    for uri in (f"s3://{BUCKET}/a.jpg", f"s3://{BUCKET}/shelf2/a.jpg", f"tar://in/e.jpg::s3://{BUCKET}/x.tar"):
        with pytest.raises(BadPhoto, match="below no root"):
            content_below(uri, shelf)
    everything: list[Root] = [parse_root(f"s3://{BUCKET}")]
    assert content_below(f"tar://in/f.png::s3://{BUCKET}/x.tar", everything) == jpeg("green")
    with pytest.raises(BadPhoto, match="is not in its archive"):
        content_below(f"tar://gone.jpg::s3://{BUCKET}/x.tar", everything)


def test_a_folder_as_root_opens_nothing_in_a_store(tmp_path: Path) -> None:
    for uri in ("s3://photos/a.jpg", "http://127.0.0.1:1/a.jpg", "tar://a.jpg::s3://photos/x.tar"):
        with pytest.raises(BadPhoto, match="below no root"):
            content_of(uri, tmp_path)
        with pytest.raises(BadPhoto, match="below no root"):
            content_of(uri, None)


def test_a_prefix_as_root_opens_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    for uri in ((tmp_path / "a.jpg").as_uri(), "a.jpg"):
        with pytest.raises(BadPhoto, match="outside the root"):
            content_of(uri, store_prefix("s3://photos"))
        with pytest.raises(BadPhoto, match="outside the root"):
            content_below(uri, [store_prefix("s3://photos")])


@pytest.mark.parametrize(
    "uri",
    [
        "https://h/photos/../secret.jpg",
        "https://h/photos/%2e%2e/secret.jpg",
        "https://h/photos/%252e%252e/secret.jpg",
        "https://h/photos/..%5csecret.jpg",
        "https://h/photos",
        "https://h/photos2/a.jpg",
        "https://h.evil/photos/a.jpg",
        "http://h/photos/a.jpg",
        "https://h:8443/photos/a.jpg",
    ],
)
def test_no_uri_leaves_its_prefix(uri: str) -> None:
    assert not StorePrefix("https://h/photos").holds(uri)
    assert StorePrefix("https://h/photos").holds("https://h/photos/a.jpg?v=1")


def test_a_root_that_is_no_folder_is_refused() -> None:
    with pytest.raises(SorceError, match="is no folder"):
        parse_root("/no/such/folder")


@pytest.mark.parametrize(
    ("scheme", "absent", "extra"),
    [("s3", "fsspec", "cloud"), ("https", "fsspec", "cloud"), ("gs", "gcsfs", "gcs"), ("az", "adlfs", "azure")],
)
def test_a_missing_package_of_a_store_is_a_sentence(
    scheme: str, absent: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(SorceError) as told:
        filesystem.__wrapped__(scheme)
    assert str(told.value) == f"{scheme}:// needs packages that are not installed: pip install 'sorce[{extra}]'."


def test_a_store_that_is_not_set_up_is_an_error_of_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object, **__: object) -> None:
        raise ValueError("unable to connect: give an\naccount_name!!")

    monkeypatch.setattr("fsspec.filesystem", made)
    with pytest.raises(SorceError) as told:
        filesystem.__wrapped__("az")
    said = (
        "az:// cannot be used (unable to connect: give an account_name); set its address and keys in the environment."
    )
    assert str(told.value) == said
