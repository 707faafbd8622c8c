"""docker/: compose starts the very commands a person types, locked down; the image leaves nothing behind."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from stopkeeper.console.cli import build
from tasks import queues
from workers.main import Program
from workers.settings_load import load

DOCKER = Path(__file__).parents[3] / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if name != "redis"}
TOP = {"name", "services", "networks", "volumes", "configs", "secrets"}


def _words(service: dict[str, Any], option: str) -> str:
    command = service["command"]
    return str(command[command.index(option) + 1])


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_the_command_line_knows(name: str) -> None:
    command, *words = OURS[name]["command"]
    root = build(Program())
    context = click.Context(root)
    found = root.get_command(context, command)
    assert found is not None
    with found.make_context(command, list(words), parent=context):
        pass  # every option and value is accepted


def test_the_services_are_the_processes_of_up() -> None:
    commands = [service["command"][0] for service in OURS.values()]
    assert sorted(set(commands)) == ["beat", "feed", "flower", "worker"]
    served = [_words(service, "--queues") for service in OURS.values() if service["command"][0] == "worker"]
    takers = {queue: sum(queue in words.split(",") for words in served) for queue in queues.QUEUES}
    assert queues.URGENT in served  # one that nothing else can keep waiting
    assert takers[queues.URGENT] > 1  # and another, should it hang
    assert all(takers.values())


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_service_may_do_nothing_it_need_not(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not service.get("privileged")
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "inside" in service["networks"]


@pytest.mark.parametrize("name", OURS)
def test_every_process_but_the_feed_is_healthy_by_its_sign_of_life_in_redis(name: str) -> None:
    """While Redis is away the feed guards: whoever replaces what is unhealthy would end the guardian."""
    check = OURS[name].get("healthcheck", {})
    if OURS[name]["command"][0] == "feed":
        assert check == {"disable": True}
    else:
        assert check["test"] == ["CMD", "python", "-m", "workers.health"]


def test_what_is_named_is_declared() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == TOP
    for service in COMPOSE["services"].values():
        assert set(service["secrets"]) <= set(COMPOSE["secrets"])
        assert {each["source"] for each in service["configs"]} <= set(COMPOSE["configs"])
        assert set(service["networks"]) <= set(COMPOSE["networks"])
    for config in COMPOSE["configs"].values():
        assert (DOCKER / config["file"]).is_file()


def test_no_secret_stands_in_the_environment() -> None:
    for service in OURS.values():
        for name in service["environment"]:
            assert name.endswith("_FILE") or not any(word in name for word in ("PASSWORD", "KEY", "SECRET"))
    assert "://" in OURS["feed"]["environment"]["STOPKEEPER__REDIS__URL"]
    assert "@" not in OURS["feed"]["environment"]["STOPKEEPER__REDIS__URL"]


def test_its_configuration_loads_with_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("46" * 32)
    text = (DOCKER / "stopkeeper.toml").read_text().replace("/run/secrets/main_private_key", str(tmp_path / "secret"))
    (tmp_path / "stopkeeper.toml").write_text(text)
    for name, value in OURS["flower"]["environment"].items():
        monkeypatch.setenv(name, str(tmp_path / "secret") if name.endswith("_FILE") else value)
    settings = load(tmp_path / "stopkeeper.toml")
    assert settings.redis.full_url().get_secret_value() == f"redis://stopkeeper:{'46' * 32}@redis:6379/0"
    assert settings.flower.address == "0.0.0.0"


def test_the_store_keeps_everything_on_disk_and_forgets_nothing() -> None:
    start = (DOCKER / "redis" / "start.sh").read_text()
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction", "--aclfile"):
        assert option in start


def test_the_image_is_pinned_small_and_nobodys() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    stages = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert len(stages) == 2
    assert all(stage.startswith("python:3.") and "-slim-" in stage and stage.count(".") == 2 for stage in stages)
    text = "\n".join(lines)
    last = text.rpartition("FROM")[2]
    assert "--require-hashes" in text
    assert "USER 10001:10001" in last
    assert not [line for line in lines if line.startswith("HEALTHCHECK")]  # it would be the feed's too
    assert "pip install" not in last
    assert "apt-get" not in text
    entry = next(line for line in lines if line.startswith("ENTRYPOINT"))
    assert json.loads(entry.partition(" ")[2]) == ["stopkeeper"]


def test_nothing_private_reaches_the_build() -> None:
    ignored = (DOCKER.parent / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    copied = {line.split()[1] for line in lines if line.startswith("COPY") and "--" not in line}
    assert {line[1:] for line in ignored if line.startswith("!")} == copied | {"docker/stopkeeper"}
