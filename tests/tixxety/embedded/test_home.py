"""The home: nobody else's, whatever stood there before."""

import fcntl
import os
import stat
from pathlib import Path

import pytest

from tixxety.embedded.home import Home

# Root's server runs under another account, which has to pass.
CLOSED = 0o711 if os.geteuid() == 0 else 0o700


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.make()
    return home


def test_a_new_home_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Home(tmp_path / "home").make()
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "home") == CLOSED


def test_a_home_or_an_empty_folder_that_was_open_is_closed(home: Home, tmp_path: Path) -> None:
    held = home.lock("server.lock")
    assert held is not None
    held.close()
    home.path.chmod(0o777)
    home.make()
    assert mode_of(home.path) == CLOSED
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty").chmod(0o755)
    Home(tmp_path / "empty").make()
    assert mode_of(tmp_path / "empty") == CLOSED


def test_a_closed_home_is_never_opened(home: Home) -> None:
    home.path.chmod(0o500)
    home.make()
    assert mode_of(home.path) == 0o500
    home.path.chmod(0o700)


def test_a_folder_with_what_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letters").touch()
    tmp_path.chmod(0o755)
    Home(tmp_path).make()
    assert mode_of(tmp_path) == 0o755


def test_locks_secrets_and_notes_are_their_owners_whatever_stood_there(home: Home) -> None:
    for name in ("up.lock", "note", "server.lock"):
        (home.path / name).touch()
        (home.path / name).chmod(0o666)
    locks = [home.lock("up.lock"), home.lock("server.lock", shared=True)]
    home.secret("jwt_secret")
    home.write_note("note", {"is": "here"})
    assert {mode_of(path) for path in home.path.iterdir()} == {0o600}
    for lock in locks:
        assert lock is not None
        lock.close()


def test_a_lock_is_one_processs_alone(home: Home) -> None:
    held = home.lock("up.lock")
    assert held is not None
    assert home.lock("up.lock") is None
    held.close()
    again = home.lock("up.lock")
    assert again is not None
    fcntl.flock(again, fcntl.LOCK_UN)
    again.close()


def test_a_secret_is_on_the_disk_before_it_is_used(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", observed)
    home.secret("jwt_secret")
    file, folder = synced
    assert (file.parent, folder) == (home.path, home.path)
    assert file.name.startswith("jwt_secret.")
