from pathlib import Path

import pytest

from sorce.engine import Engine, start
from sorce.engine.paths import Account, cache_folder
from sorce.errors import EngineError

only_as_root = pytest.mark.skipif(not Account.current().in_place_of_root, reason="only root runs it as somebody else")


def test_the_cache_lies_where_the_environment_says(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORCE_CACHE", str(room / "cache"))
    assert cache_folder() == (room / "cache").resolve()
    assert cache_folder().stat().st_mode & 0o777 == 0o755


def test_a_path_with_spaces_is_refused(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORCE_CACHE", str(room / "my cache"))
    with pytest.raises(EngineError, match="path with spaces"):
        cache_folder()


@only_as_root
def test_a_cache_that_is_closed_to_the_other_user_is_refused_and_stays_closed(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = room / "root"
    home.mkdir(0o700)
    monkeypatch.setenv("SORCE_CACHE", str(home))
    with pytest.raises(EngineError, match="OpenSearch runs as user 'nobody', who cannot enter"):
        cache_folder()
    assert home.stat().st_mode & 0o777 == 0o700


@only_as_root
def test_data_in_a_closed_folder_is_refused(room: Path) -> None:
    closed = room / "closed"
    closed.mkdir(0o700)
    with pytest.raises(
        EngineError, match=r"user 'nobody', who cannot write to .*/closed/data: name another folder with --data"
    ):
        start(Engine(room / "node", closed / "data", port=1))


def test_a_folder_with_other_things_does_not_become_the_data_folder(room: Path) -> None:
    (room / "photos").mkdir()
    (room / "photos" / "1.jpg").touch()
    with pytest.raises(EngineError, match=r"photos holds something else than OpenSearch's data: name an empty folder"):
        start(Engine(room / "node", room / "photos", port=1))
    assert (room / "photos").stat().st_uid == room.stat().st_uid


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(EngineError, match="cannot name an engine"):
        Engine.named(name)


@pytest.mark.parametrize("heap", ["", "1", "0g", "1 g", "g", "2g -Dx=y"])
def test_a_heap_that_is_no_size_is_refused(heap: str) -> None:
    with pytest.raises(EngineError, match="not a size of memory"):
        Engine(Path("/home"), Path("/data"), heap=heap)
