"""The compose file and the Dockerfile, as far as they can be tried without a Docker engine: all but the containers."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from tests.running import ROOT, free_port, http, running, until_ready
from tixxety.embedded.server import EmbeddedPostgres
from tixxety.settings import Settings

VARIABLE = re.compile(r"\$(?:\{(?P<name>\w+)(?::\?(?P<message>[^}]*))?\}|(?P<escaped>\$))")
ADVICE = "run python3 -m tixxety secrets --to .env"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "api", "worker")


class Dockerfile:
    """The instructions of the Dockerfile, in order."""

    def __init__(self, text: str) -> None:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        joined = "\n".join(lines).replace("\\\n", " ").splitlines()
        self.instructions = [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined]

    def all(self, name: str) -> list[str]:
        return [rest for instruction, rest in self.instructions if instruction == name]

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair.split("=", 1) for rest in self.all("ENV") for pair in shlex.split(rest)]
        return {name: value.replace("$PATH", os.environ["PATH"]) for name, value in pairs}

    @property
    def sources(self) -> list[tuple[str, str]]:
        """What is copied from the clone, and where to; relative is below the work directory."""
        copies = [rest.split() for rest in self.all("COPY") if not rest.startswith("--from=")]
        return [(source, copy[-1]) for copy in copies for source in copy[:-1]]

    @property
    def health_check(self) -> list[str]:
        command: list[str] = json.loads(self.all("HEALTHCHECK")[0].partition("CMD ")[2])
        return command

    def command(self, own: list[str] | None = None) -> list[str]:
        """What a container runs: the entry point, then the service's command or the image's."""
        entry_point: list[str] = json.loads(self.all("ENTRYPOINT")[0])
        return entry_point + (own or json.loads(self.all("CMD")[0]))


IMAGE = Dockerfile((ROOT / "Dockerfile").read_text())


def interpolated(value: Any, variables: dict[str, str]) -> Any:
    """A part of the compose file with its variables filled in, the way compose does; KeyError names a missing one."""
    if isinstance(value, dict):
        return {key: interpolated(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner, variables) for inner in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda found: "$" if found["escaped"] else variables[found["name"]], value)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """What `python3 -m tixxety secrets --to .env` writes."""
    command = [sys.executable, "-m", "tixxety", "secrets"]
    environment = {"PATH": os.environ["PATH"], "TIXXETY_NO_VENV": "1"}
    written = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    return dict(line.split("=", 1) for line in written.splitlines() if line and not line.startswith("#"))


@pytest.fixture
def database(secrets: dict[str, str], home: Path) -> Iterator[str]:
    """Host and port of a server prepared as the image of the service `db` would: password, database, first script."""
    server = EmbeddedPostgres(home, durable=False)
    url = server.start()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(interpolated(COMPOSE["configs"]["login"]["content"], secrets))
            connection.execute(f"ALTER ROLE postgres PASSWORD '{secrets['POSTGRES_PASSWORD']}'")
            info = connection.info
            assert (info.user, info.dbname) == ("postgres", SERVICES["db"]["environment"]["POSTGRES_DB"])
            address = f"{info.host}:{info.port}"
        yield address
    finally:
        server.discard()


def test_the_services_are_the_promised_ones() -> None:
    assert set(SERVICES) == {"db", "migrate", "api", "worker", "pgadmin"}
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"api": ["8000:8000"], "pgadmin": ["127.0.0.1:8080:80"]}
    assert SERVICES["db"]["image"] == "postgres:18"


def test_what_services_refer_to_exists() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "test" in SERVICES[other]["healthcheck"]
        assert {each["source"] for each in service.get("configs", [])} <= set(COMPOSE["configs"])
        assert {each.partition(":")[0] for each in service.get("volumes", [])} <= set(COMPOSE["volumes"])


def test_one_service_builds_the_image_that_ours_share() -> None:
    """Several that build one tag at once get into each other's way; and a stranger's image of that name is not ours."""
    assert {name: service["build"] for name, service in SERVICES.items() if "build" in service} == {"migrate": "."}
    policies = {name: (SERVICES[name]["image"], SERVICES[name]["pull_policy"]) for name in OURS}
    assert policies == {"migrate": ("tixxety", "build"), "api": ("tixxety", "never"), "worker": ("tixxety", "never")}


@pytest.mark.parametrize("name", OURS)
def test_our_services_write_nothing_and_may_nothing(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["tmpfs"] == [IMAGE.environment["HOME"]]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_setting_reaches_the_process_that_heeds_it() -> None:
    """But for those of the embedded server and of the tests, of which there are none in a container."""
    settings = {name.upper() for name in Settings.model_fields} - {"TIXXETY_HOME", "TEST_DATABASE_URL"}
    api, worker = (set(SERVICES[name]["environment"]) for name in ("api", "worker"))
    assert api | worker == settings - {"MIGRATE_DATABASE_URL"} | {"TIXXETY_LOGS"}
    assert worker == {"DATABASE_URL", "REFUSALS_KEPT_DAYS", "TIXXETY_LOGS"}
    assert set(SERVICES["migrate"]["environment"]) == {"MIGRATE_DATABASE_URL"}


def test_secrets_writes_each_variable_once_and_no_other(secrets: dict[str, str]) -> None:
    assert set(secrets) == {found["name"] for text in texts(COMPOSE) for found in VARIABLE.finditer(text)}
    assert len(set(secrets.values())) == len(secrets)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{32,}", secret) for secret in secrets.values())


def test_a_missing_variable_fails_and_says_what_to_run() -> None:
    messages = {found["message"] for text in texts(COMPOSE) for found in VARIABLE.finditer(text)}
    assert messages == {ADVICE}


def test_pgadmin_knows_the_server() -> None:
    server = json.loads(COMPOSE["configs"]["servers"]["content"])["Servers"]["1"]
    assert (server["Host"], server["Port"], server["Username"]) == ("db", 5432, "postgres")
    assert server["MaintenanceDB"] == SERVICES["db"]["environment"]["POSTGRES_DB"]


def test_the_image_is_locked_and_runs_as_nobody_special() -> None:
    base, *stages = IMAGE.all("FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64} AS base", base)
    assert stages == ["base AS build", "base"]
    (install,) = [rest for rest in IMAGE.all("RUN") if " install " in rest]
    assert "--require-hashes" in install
    assert "-r /locks/requirements-image.lock" in install
    assert IMAGE.all("USER") == ["10001:10001"]


def test_the_image_gets_what_it_copies() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    assert {source for source, _ in IMAGE.sources} == let_in
    assert [source for source in let_in if not (ROOT / source).exists()] == []
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {source for source, target in IMAGE.sources if target == f"./{source}"} == {
        package.rstrip("*") for package in packages
    }


def test_a_box_office_by_compose_works(database: str, secrets: dict[str, str], tmp_path: Path) -> None:
    port = str(free_port())
    folder = copied_as_in_the_image(tmp_path / "image")
    local = localised(database, port)
    variables = {name: local_environment(name, secrets, local) for name in OURS}
    commands = {name: [local(word) for word in IMAGE.command(SERVICES[name]["command"])] for name in OURS}
    assert {command.pop(0) for command in commands.values()} == {"tixxety"}
    for command in commands.values():
        command[:0] = [sys.executable, str(folder / "tixxety")]
    subprocess.run(commands["migrate"], env=variables["migrate"], cwd=folder, check=True, timeout=60)

    logs = {name: tmp_path / f"{name}.log" for name in OURS}
    with (
        running(commands["api"], variables["api"], logs["api"], folder) as api,
        running(commands["worker"], variables["worker"], logs["worker"], folder) as worker,
    ):
        url = f"http://127.0.0.1:{port}"
        until_ready(f"{url}/health/ready", (api, logs["api"]), (worker, logs["worker"]))
        health_check = [local(word) for word in IMAGE.health_check]
        subprocess.run(health_check, env=variables["api"], check=True, timeout=30)
        account = {"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"}
        assert http().post(f"{url}/auth/register", json=account).status_code == 201
        assert_it_cannot_change_the_history(variables["api"]["DATABASE_URL"])


def copied_as_in_the_image(folder: Path) -> Path:
    """The folder with nothing in it but what the Dockerfile copies."""
    for source, target in IMAGE.sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def localised(database: str, port: str) -> Callable[[str], str]:
    """Puts this machine's addresses, and its Python, into the words of a container."""

    def local(word: str) -> str:
        if word == "python":
            return sys.executable
        return word.replace("@db:5432", f"@{database}").replace("8000", port)

    return local


def local_environment(service: str, secrets: dict[str, str], local: Callable[[str], str]) -> dict[str, str]:
    own = interpolated(SERVICES[service]["environment"], secrets)
    return IMAGE.environment | {name: local(value) for name, value in own.items() if value is not None}


def assert_it_cannot_change_the_history(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET search_path = tixxety")
        for change in ("DELETE FROM stored_events", "UPDATE stored_events SET topic = ''", "TRUNCATE stored_events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)
