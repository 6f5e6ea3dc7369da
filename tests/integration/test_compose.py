"""The compose file and the image agree with the settings, the commands and the stand-ins."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import msgspec
import pytest
import rich_click as click
import yaml

from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_web.cli.main import cli
from bitloot_web.plugins import Configuration, configure
from bitloot_web.settings import Environment, SettingsError

ROOT = Path(__file__).parents[2]
Service: TypeAlias = dict[str, Any]
CONFIGS: Mapping[str, type[msgspec.Struct]] = {
    "nowpayments": NowPaymentsSandboxConfig,
    "kinguin": KinguinSandboxConfig,
    "resend": ResendSandboxConfig,
}
ROLES = {"migrate": "migrate", "web": "serve", "worker": "worker", "scheduler": "scheduler"}


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    found: dict[str, Service] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
        "services"
    ]
    return found


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def environment(services: dict[str, Service], name: str) -> dict[str, str]:
    variables: dict[str, str] = services[name]["environment"]
    return variables


def configured(variables: Mapping[str, str]) -> Configuration:
    return configure(Environment(variables))


def command(words: list[str]) -> click.Context:
    """The command line parsed by the commands themselves; nothing runs."""
    found = cli.get_command(click.Context(cli), words[0])
    assert found is not None, f"there is no command {words[0]}"
    return found.make_context(words[0], words[1:])


def sandbox_of(services: dict[str, Service], name: str) -> msgspec.Struct:
    text = str(command(services[name]["command"]).params["config"])
    strict = msgspec.json.decode(text, type=CONFIGS[name])
    assert set(json.loads(text)) <= set(strict.__struct_fields__)
    return strict


@pytest.mark.parametrize("name", ROLES)
def test_the_settings_of_every_role_can_be_used(services: dict[str, Service], name: str) -> None:
    variables = environment(services, name)
    assert all(isinstance(value, str) for value in variables.values()), "quote numbers in YAML"
    assert configured(variables).settings.host == "0.0.0.0"


def test_a_misspelt_variable_would_be_found(services: dict[str, Service]) -> None:
    variables = environment(services, "web") | {"BITLOOT_REDIS_URI": "redis://valkey:6379/0"}
    with pytest.raises(SettingsError, match="did you mean BITLOOT_REDIS_URL"):
        configured(variables)


@pytest.mark.parametrize("name", [*ROLES, *CONFIGS])
def test_every_command_is_one_of_ours_with_options_that_it_has(
    services: dict[str, Service], name: str
) -> None:
    words = services[name]["command"]
    assert words[0] == ROLES.get(name, "sandbox")
    assert command(words).params is not None


def test_a_command_that_nobody_knows_would_be_found() -> None:
    with pytest.raises(AssertionError, match="no command serv"):
        command(["serv"])
    with pytest.raises(click.UsageError):
        command(["serve", "--prot", "8000"])


@pytest.mark.parametrize("name", CONFIGS)
def test_the_shop_finds_each_stand_in_with_the_secrets_that_it_checks(
    services: dict[str, Service], name: str
) -> None:
    context = command(services[name]["command"])
    config = sandbox_of(services, name)
    shop = environment(services, "web")
    prefix = f"BITLOOT_{name.upper()}_"
    address = urlsplit(shop[f"{prefix}BASE_URL"])
    assert (address.hostname, address.port) == (name, context.params["port"])
    assert context.params["host"] == "0.0.0.0"
    assert context.params["name"] == name
    keys, secrets = accepted(config)
    assert shop[f"{prefix}API_KEY"] in keys
    told = shop[f"{prefix}{'IPN_SECRET' if name == 'nowpayments' else 'WEBHOOK_SECRET'}"]
    assert told in secrets


def accepted(config: msgspec.Struct) -> tuple[list[str], list[str | None]]:
    """The API keys of a stand-in, and what it signs or proves its callbacks with."""
    match config:
        case NowPaymentsSandboxConfig():
            return [*config.api_keys], [config.ipn_secret]
        case KinguinSandboxConfig():
            return [*config.api_keys], [config.webhook_secret]
        case ResendSandboxConfig():
            keys = [key.token for key in config.api_keys]
            return keys, [secret for hook in config.webhooks for secret in hook.secrets]
    raise AssertionError(config)


def callback_urls(services: dict[str, Service]) -> Iterator[tuple[str, str]]:
    yield "nowpayments", environment(services, "web")["BITLOOT_NOWPAYMENTS_CALLBACK_URL"]
    kinguin = sandbox_of(services, "kinguin")
    assert isinstance(kinguin, KinguinSandboxConfig)
    yield "kinguin", str(kinguin.webhook_url)
    resend = sandbox_of(services, "resend")
    assert isinstance(resend, ResendSandboxConfig)
    yield from (("resend", hook.url) for hook in resend.webhooks)


def test_every_stand_in_calls_back_where_the_shop_listens(services: dict[str, Service]) -> None:
    found = dict(callback_urls(services))
    assert set(found) == set(CONFIGS)
    port = environment(services, "web")["BITLOOT_PORT"]
    assert found == {name: f"http://web:{port}/v1/webhooks/{name}" for name in CONFIGS}


def test_servers_are_reached_where_they_are_and_as_whom_they_expect(
    services: dict[str, Service],
) -> None:
    shop, postgres = environment(services, "web"), environment(services, "postgres")
    database = urlsplit(shop["BITLOOT_DATABASE_URL"])
    assert (database.hostname, database.port) == ("postgres", 5432)
    assert database.username == postgres["POSTGRES_USER"]
    assert database.password == postgres["POSTGRES_PASSWORD"]
    assert database.path == f"/{postgres['POSTGRES_DB']}"
    assert urlsplit(shop["BITLOOT_REDIS_URL"]).hostname == "valkey"
    assert services["valkey"]["command"][0] == "valkey-server"
    objects = services["objects"]
    address = urlsplit(shop["BITLOOT_R2_ENDPOINT"])
    assert (address.hostname, f":{address.port}") == ("objects", objects["command"][1])
    assert shop["BITLOOT_R2_REGION"] in objects["command"]
    assert shop["BITLOOT_R2_ACCESS_KEY"] == objects["environment"]["ROOT_ACCESS_KEY"]
    assert shop["BITLOOT_R2_SECRET_KEY"] == objects["environment"]["ROOT_SECRET_KEY"]
    assert services["bucket"]["command"][-1] == f"/data/{shop['BITLOOT_R2_BUCKET']}"


def test_every_published_port_is_one_that_its_service_listens_on(
    services: dict[str, Service],
) -> None:
    listening = {name: command(services[name]["command"]).params["port"] for name in CONFIGS}
    listening["web"] = int(environment(services, "web")["BITLOOT_PORT"])
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published == {name: [f"127.0.0.1:{port}:{port}"] for name, port in listening.items()}


def test_whoever_is_waited_for_exists_and_can_meet_the_condition(
    services: dict[str, Service],
) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{other} has no health check"
    declared = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"])
    used = {
        volume.partition(":")[0] for each in services.values() for volume in each.get("volumes", [])
    }
    assert used == declared


def test_production_refuses_the_example_values(services: dict[str, Service]) -> None:
    variables = environment(services, "web") | {"BITLOOT_ENVIRONMENT": "production"}
    with pytest.raises(SettingsError) as refused:
        configured(variables)
    told = "\n".join(refused.value.faults)
    secrets = {name for name in variables if re.search(r"KEY|SECRET|TOKEN|PEPPER|KEKS", name)}
    unsafe = secrets - {"BITLOOT_KEY_VAULT", "BITLOOT_R2_ACCESS_KEY"} | {"BITLOOT_DATABASE_URL"}
    assert len(unsafe) >= 11
    assert {name for name in unsafe if name not in told} == set(), told


def test_the_image_starts_a_command_of_ours_and_looks_at_its_own_port(dockerfile: str) -> None:
    found = re.search(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    assert found is not None
    context = command(json.loads(found[1]))
    assert re.search(r'^ENTRYPOINT \["bitloot"\]$', dockerfile, re.MULTILINE)
    assert re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE) == [str(context.params["port"])]
    assert f"http://127.0.0.1:{context.params['port']}/healthz" in dockerfile


def test_the_image_names_no_setting_that_the_shop_does_not_know(
    services: dict[str, Service], dockerfile: str
) -> None:
    known = environment(services, "web")
    assert set(re.findall(r"BITLOOT_\w+", dockerfile)) <= set(known)
