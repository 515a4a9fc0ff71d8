"""Settings: what is missing or wrong is one sentence that names the variable."""

import ipaddress
import stat
from pathlib import Path

import pytest

from tixxety.embedded.home import Home, default_home
from tixxety.errors import WrongSetting
from tixxety.settings import Settings, read_settings

SECRET = "a secret of thirty-two bytes, yes"
URL = "postgresql://someone:secret@db.example.org:5432/tixxety"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("TIXXETY_HOME", str(tmp_path))


def test_nothing_has_to_be_set() -> None:
    settings = read_settings()
    assert (settings.database_url, settings.jwt_secret, settings.trusted_proxies) == (None, None, ())


def test_the_command_lines_home_comes_before_the_variables(tmp_path: Path) -> None:
    assert read_settings().home.path == tmp_path
    assert read_settings(str(tmp_path / "other")).home.path == tmp_path / "other"


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_settings("").home.path == tmp_path
    monkeypatch.setenv("TIXXETY_HOME", "")
    assert read_settings("").home.path == default_home()


def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert read_settings().database_url is None


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("JWT_SECRET", "x" * 31, "32 bytes"),
        ("RATE_LIMITS", "maybe", "on or off"),
        ("TRUSTED_PROXIES", "10.0.0.1, nowhere", "addresses or networks"),
        ("CORS_ORIGINS", "https://shop.example/path", "origins"),
        ("CORS_ORIGINS", "shop.example", "origins"),
        ("ROOT_PATH", "tickets", "must be a path"),
        ("ROOT_PATH", "/tickets/", "must be a path"),
        ("DATABASE_URL", "mysql://there/db", "PostgreSQL URL"),
        ("MIGRATE_DATABASE_URL", "postgresql+driver://there/db", "PostgreSQL URL"),
    ],
)
def test_a_wrong_value_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, text: str, reason: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(WrongSetting) as wrong:
        read_settings()
    message = str(wrong.value)
    assert message.startswith(name)
    assert reason in message
    assert "\n" not in message


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "hunter2")
    with pytest.raises(WrongSetting) as wrong:
        read_settings()
    assert "hunter2" not in str(wrong.value)


def test_the_secrets_length_counts_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "é" * 16)
    secret = read_settings().jwt_secret
    assert secret is not None
    assert secret.get_secret_value() == "é" * 16


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.1, 192.168.0.0/16,fd00::/8")
    expected = ("10.0.0.1/32", "192.168.0.0/16", "fd00::/8")
    assert read_settings().trusted_proxies == tuple(ipaddress.ip_network(each) for each in expected)


def test_origins_are_told_apart_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().cors_origins == ()
    monkeypatch.setenv("CORS_ORIGINS", "https://shop.example, http://localhost:5173,http://[::1]:80")
    assert read_settings().cors_origins == ("https://shop.example", "http://localhost:5173", "http://[::1]:80")


@pytest.mark.parametrize("path", ["/tickets", "/shop/tickets-2", ""])
def test_a_root_path_begins_with_a_slash(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setenv("ROOT_PATH", path)
    assert read_settings().root_path == path


@pytest.mark.parametrize(("text", "limited"), [("on", True), ("OFF", False)])
def test_rate_limits_are_a_switch(monkeypatch: pytest.MonkeyPatch, text: str, limited: bool) -> None:
    monkeypatch.setenv("RATE_LIMITS", text)
    assert read_settings().rate_limits is limited


def test_with_a_database_the_secret_must_be_set_and_limits_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", URL)
    with pytest.raises(WrongSetting, match="JWT_SECRET"):
        read_settings().serving_environment(URL)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    expected = {"DATABASE_URL": URL, "JWT_SECRET": SECRET, "RATE_LIMITS": "on"}
    assert read_settings().serving_environment(URL) == expected


def test_the_embedded_mode_makes_its_own_secret_and_has_no_limits(tmp_path: Path) -> None:
    first = read_settings().serving_environment(URL)
    assert first["RATE_LIMITS"] == "off"
    assert len(first["JWT_SECRET"].encode()) >= 32
    assert read_settings().serving_environment(URL) == first
    assert first["DATABASE_URL"].startswith("postgresql://tixxety_app:")
    assert first["DATABASE_URL"].endswith("@db.example.org:5432/tixxety")
    assert "secret" not in first["DATABASE_URL"]
    assert stat.S_IMODE((tmp_path / "jwt_secret").stat().st_mode) == 0o600


def test_limits_can_be_switched_on_in_the_embedded_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE_LIMITS", "on")
    assert read_settings().serving_environment(URL)["RATE_LIMITS"] == "on"


def test_each_home_has_secrets_of_its_own(tmp_path: Path) -> None:
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for home in homes:
        home.make()
    assert homes[0].secret("jwt_secret") != homes[1].secret("jwt_secret")
