"""Files and links that another account may have put there: nothing is written or read through them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sorce.engine import Engine, start
from sorce.engine.certificates import Authority
from sorce.engine.config import write_config
from sorce.engine.files import check_owner, locked, make_folder, read_file, write_file
from sorce.engine.java import Java
from sorce.engine.paths import Account, cache_folder
from sorce.engine.progress import logged, silent
from sorce.engine.security import Security
from sorce.errors import EngineError

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another account")
STRANGER = 12345
JAVA = Java(Path("/java"), "25.0.3", has_vectors=True)


@pytest.fixture
def victim(room: Path) -> Path:
    path = room / "victim"
    path.write_text("untouched")
    path.chmod(0o640)
    return path


@pytest.fixture
def opensearch(room: Path) -> Path:
    """The configuration of an unpacked OpenSearch."""
    folder = room / "opensearch"
    (folder / "config" / "opensearch-security").mkdir(parents=True)
    (folder / "config" / "jvm.options").write_text("-Xms1g\n")
    (folder / "config" / "log4j2.properties").write_text("")
    return folder


def is_untouched(path: Path) -> bool:
    facts = path.stat()
    return (path.read_text(), stat.S_IMODE(facts.st_mode), facts.st_uid) == ("untouched", 0o640, os.geteuid())


@pytest.mark.fault("10.2.1")
@pytest.mark.parametrize(
    "name", ["opensearch.yml", "jvm.options", "log4j2.properties", "opensearch-security/config.yml"]
)
def test_a_start_writes_no_configuration_through_a_link(room: Path, opensearch: Path, victim: Path, name: str) -> None:
    laid = room / "home" / "config" / name
    laid.parent.mkdir(parents=True)
    laid.symlink_to(victim)
    config = write_config(room / "home", opensearch, {}, [], JAVA)
    Security(room / "home" / "security").prepare(config)
    Account.current().give(config)
    assert is_untouched(victim)
    assert not laid.is_symlink()
    assert laid.stat().st_uid == Account.current().uid


@pytest.mark.fault("10.2.1")
@pytest.mark.parametrize("name", ["config", "config/certificates", "config/opensearch-security"])
def test_a_start_writes_no_configuration_through_a_linked_folder(room: Path, opensearch: Path, name: str) -> None:
    elsewhere, laid = room / "elsewhere", room / "home" / name
    elsewhere.mkdir()
    laid.parent.mkdir(parents=True)
    laid.symlink_to(elsewhere)
    config = write_config(room / "home", opensearch, {}, [], JAVA)
    Security(room / "home" / "security").prepare(config)
    assert list(elsewhere.iterdir()) == []
    assert not config.is_symlink()


@pytest.mark.fault("10.2.1")
def test_the_configuration_is_closed_to_other_accounts(room: Path, opensearch: Path) -> None:
    (room / "home").mkdir()
    config = write_config(room / "home", opensearch, {}, [], JAVA)
    Security(room / "home" / "security").prepare(config)
    Account.current().give(config)
    everything = [config, *config.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything} == {0o700, 0o600}
    assert {path.stat().st_uid for path in everything} == {Account.current().uid}


@pytest.mark.fault("10.s.50")
def test_a_file_that_is_written_replaces_a_link(room: Path, victim: Path) -> None:
    (room / "file").symlink_to(victim)
    (room / ".file.new").symlink_to(victim)
    write_file(room / "file", b"new")
    assert is_untouched(victim)
    assert (room / "file").read_text() == "new"
    assert not (room / "file").is_symlink()


@pytest.mark.fault("10.s.50")
def test_a_key_replaces_a_link(room: Path, victim: Path) -> None:
    (room / "x.key").symlink_to(victim)
    (room / "x.pem").symlink_to(victim)
    Authority().issue("x").write(room / "x.pem", room / "x.key")
    assert is_untouched(victim)


@pytest.mark.fault("10.s.50")
def test_a_lock_and_a_log_are_not_opened_through_a_link(room: Path, victim: Path) -> None:
    (room / "link").symlink_to(victim)
    with pytest.raises(EngineError, match="cannot write to"), locked(room / "link"):
        pass
    with pytest.raises(OSError, match="link"):
        logged(silent, room / "link")("a sentence")
    assert is_untouched(victim)


@pytest.mark.fault("10.s.51")
def test_a_log_is_not_read_through_a_link_and_not_from_a_pipe(room: Path, victim: Path) -> None:
    (room / "link").symlink_to(victim)
    os.mkfifo(room / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match=name):
            read_file(room / name)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_umask(room: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_file(room / "secret", b"x")
        write_file(room / "public", b"x", 0o644)
        make_folder(room / "folder", 0o711, "")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((room / name).stat().st_mode) for name in ("secret", "public", "folder")] == [
        0o600,
        0o644,
        0o711,
    ]


@pytest.mark.fault("10.2.4")
@only_as_root
def test_a_cache_folder_of_another_account_is_refused(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = room / "cache"
    cache.mkdir()
    os.chown(cache, STRANGER, STRANGER)
    monkeypatch.setenv("SORCE_CACHE", str(cache))
    with pytest.raises(
        EngineError,
        match=rf"cache belongs to user '{STRANGER}', who could change it: set SORCE_CACHE to a folder that is yours$",
    ):
        cache_folder()


@pytest.mark.fault("10.2.4")
@only_as_root
@pytest.mark.parametrize("linked", [False, True])
def test_a_cache_folder_in_a_folder_of_another_account_is_refused(
    room: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    theirs, ours = room / "theirs", room / "ours"
    theirs.mkdir()
    ours.mkdir()
    if linked:
        (theirs / "cache").symlink_to(ours)
    os.chown(theirs, STRANGER, STRANGER)
    monkeypatch.setenv("SORCE_CACHE", str(theirs / "cache"))
    with pytest.raises(EngineError, match=rf"theirs belongs to user '{STRANGER}', who could replace cache in it"):
        cache_folder()


@pytest.mark.fault("10.s.52")
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_cache_folder_that_others_can_write_to_is_refused(
    room: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (room / "cache").mkdir()
    (room / "cache").chmod(mode)
    monkeypatch.setenv("SORCE_CACHE", str(room / "cache"))
    with pytest.raises(EngineError, match=r"other users can write to .*/cache: run `chmod go-w .*/cache`, or"):
        cache_folder()


@pytest.mark.fault("10.s.52")
def test_a_folder_that_all_can_write_to_is_no_place_for_a_cache_unless_it_is_sticky(room: Path) -> None:
    folder = room / "all" / "cache"
    folder.mkdir(parents=True)
    (room / "all").chmod(0o1777)
    check_owner(folder, "")
    (room / "all").chmod(0o777)
    with pytest.raises(EngineError, match=r"all users can write to .*/all: run `chmod o-w"):
        check_owner(folder, "")


@pytest.mark.fault("10.s.53")
@only_as_root
def test_a_home_of_another_account_is_refused(room: Path) -> None:
    (room / "home").mkdir()
    os.chown(room / "home", STRANGER, STRANGER)
    with pytest.raises(EngineError, match=rf"/home belongs to user '{STRANGER}', who could change it"):
        start(Engine(room / "home", room / "data", port=0))
    assert list((room / "home").iterdir()) == []


@pytest.mark.fault("10.s.53")
@only_as_root
def test_a_data_folder_of_another_account_is_refused_and_stays_theirs(room: Path) -> None:
    (room / "data").mkdir()
    os.chown(room / "data", STRANGER, STRANGER)
    with pytest.raises(EngineError, match=rf"/data belongs to user '{STRANGER}': name another folder with --data"):
        Account.current().own_folder(room / "data")
    assert (room / "data").stat().st_uid == STRANGER


@pytest.mark.fault("10.s.54")
@only_as_root
def test_no_file_in_a_data_folder_changes_its_owner(room: Path, victim: Path) -> None:
    nodes = room / "data" / "nodes"
    nodes.mkdir(parents=True)
    os.chown(nodes, Account.current().uid, 0)
    os.link(victim, nodes / "hard-link")
    with pytest.raises(EngineError, match=r"hard-link belongs to user 'root', but OpenSearch runs as user 'nobody'"):
        start(Engine(room / "home", room / "data", port=0))
    Account.current().own_folder(room / "data")
    assert is_untouched(victim)
