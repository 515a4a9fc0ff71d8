"""Files that are there whole or as they were, on the disk, and never more open than what they replace."""

import os
import stat
from pathlib import Path

import pytest

from tixxety.errors import FileUnwritable
from tixxety.terminal.atomic_files import written_whole


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that the system was asked to have on the disk, in order."""
    paths: list[Path] = []
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", observed)
    return paths


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(path: Path, text: bytes = b"it", *, private: bool = False) -> None:
    with written_whole(path, private=private) as file:
        file.write(text)


def test_a_file_is_there_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "it"
    with written_whole(path) as file:
        file.write(b"first")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), written_whole(path) as file:
        file.write(b"second" * (1 // 0))
    assert path.read_bytes() == b"first"
    link = tmp_path / "link"
    link.symlink_to(path)
    write(link, b"third")
    assert (path.read_bytes(), link.is_symlink()) == (b"third", True)
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_the_disk_has_the_file_and_then_its_name(tmp_path: Path, synced: list[Path]) -> None:
    write(tmp_path / "it")
    file, folder = synced
    assert (file.parent, file.suffix, folder) == (tmp_path, ".draft", tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_what_is_replaced_says_who_may_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "it"
    path.touch()
    path.chmod(mode)
    write(path)
    assert mode_of(path) == mode


def test_what_is_new_is_as_open_as_the_umask_leaves_it_and_a_secret_is_its_owners(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "new")
        write(tmp_path / "secret", private=True)
        (tmp_path / "open").touch(0o666)
        write(tmp_path / "open", private=True)
    finally:
        os.umask(before)
    assert [mode_of(tmp_path / name) for name in ("new", "secret", "open")] == [0o640, 0o600, 0o600]


def test_a_secret_is_its_owners_from_the_first_byte_on(tmp_path: Path) -> None:
    (tmp_path / "kept").touch(0o600)
    for name in ("new", "kept"):
        with written_whole(tmp_path / name, private=name == "new"):
            (draft,) = tmp_path.glob("*.draft")
            assert mode_of(draft) == 0o600


def test_what_is_no_file_is_written_to_as_it_stands() -> None:
    write(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()
    with pytest.raises(FileUnwritable, match="No space left on device"):
        write(Path("/dev/full"))
