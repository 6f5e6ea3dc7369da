"""`bitloot doctor` names what is broken; `bitloot config` what is wrong before anything opens."""

import json
import subprocess
from pathlib import Path

from tests.e2e.programs import BITLOOT, bytecode, free_ports, inherited
from tests.e2e.town import Town

COMMAND_SECONDS = 90


def told(town: Town, *arguments: str, **changed: str | None) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command with some settings changed."""
    variables: dict[str, str | None] = {**inherited(), **town.variables, **changed}
    done = subprocess.run(
        [*BITLOOT, *arguments],
        env={name: value for name, value in variables.items() if value is not None}
        | bytecode(town.folder),
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
        cwd=town.folder,
    )
    return done.returncode, done.stdout, done.stderr


def findings(town: Town, **changed: str | None) -> tuple[int, dict[str, dict[str, str]]]:
    code, out, err = told(town, "doctor", "--json", **changed)
    assert out, err
    rows = json.loads(out)
    broken = {row["part"]: row for row in rows if row["state"] == "broken"}
    return code, broken


def test_a_healthy_shop_has_nothing_broken(town: Town) -> None:
    town.mend()
    code, out, err = told(town, "doctor", "--invariants")
    assert code == 0, out + err
    assert "BROKEN" not in out
    for part in ("database", "schema", "redis", "nowpayments", "kinguin", "local", "resend"):
        assert part in out, out


def test_a_database_a_gateway_and_a_mailer_that_are_away_are_named(town: Town) -> None:
    (nowhere,) = free_ports(1)
    code, broken = findings(
        town,
        BITLOOT_DATABASE_URL=f"postgresql://shop@127.0.0.1:{nowhere}/bitloot",
        BITLOOT_NOWPAYMENTS_BASE_URL=f"http://127.0.0.1:{nowhere}/v1",
        BITLOOT_RESEND_BASE_URL=f"http://127.0.0.1:{nowhere}",
    )
    assert code == 1
    assert set(broken) == {"database", "nowpayments", "resend"}
    assert "BITLOOT_DATABASE_URL" in broken["database"]["detail"]
    for provider in ("nowpayments", "resend"):
        assert f"BITLOOT_{provider.upper()}_*" in broken[provider]["detail"]


def test_a_valkey_and_a_supplier_that_are_away_and_keys_that_are_refused_are_named(
    town: Town,
) -> None:
    (nowhere,) = free_ports(1)
    wrong = "re_wrong-key-0123456789"
    code, broken = findings(
        town,
        BITLOOT_REDIS_URL=f"redis://127.0.0.1:{nowhere}/0",
        BITLOOT_KINGUIN_BASE_URL=f"http://127.0.0.1:{nowhere}/esa/api",
        BITLOOT_NOWPAYMENTS_API_KEY=wrong,
        BITLOOT_RESEND_API_KEY=wrong,
    )
    assert code == 1
    assert set(broken) == {"redis", "kinguin", "nowpayments", "resend"}
    assert "BITLOOT_REDIS_URL" in broken["redis"]["detail"]
    assert "BITLOOT_KINGUIN_*" in broken["kinguin"]["detail"]
    for provider in ("nowpayments", "resend"):
        assert "refuses the credentials" in broken[provider]["detail"]
    assert wrong not in str(broken)


def test_a_database_without_our_tables_and_a_refused_supplier_key_are_named(town: Town) -> None:
    name = "unmigrated"
    url = town.postgres.create_database(name)
    try:
        code, broken = findings(
            town, BITLOOT_DATABASE_URL=url, BITLOOT_KINGUIN_API_KEY="wrong-key-0123456789"
        )
    finally:
        town.postgres.drop_database(name)
    assert code == 1
    assert set(broken) == {"schema", "kinguin"}
    assert "bitloot migrate" in broken["schema"]["detail"]
    assert "credentials" in broken["kinguin"]["detail"]


def test_every_secret_that_is_missing_or_malformed_is_named_and_none_is_shown(town: Town) -> None:
    wrong = {
        "BITLOOT_LOCAL_KEKS": "k1:short",
        "BITLOOT_RESEND_WEBHOOK_SECRET": "whsec_???",
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": "tiny",
    }
    code, out, err = told(town, "doctor", **wrong)
    assert code == 2, out + err
    for name, value in wrong.items():
        assert name in err, err
        assert value not in err
    code, out, err = told(town, "doctor", BITLOOT_SECRET_KEY=None, BITLOOT_PORT="eighty")
    assert code == 2, out + err
    assert "Traceback" not in err
    assert "BITLOOT_SECRET_KEY (or BITLOOT_SECRET_KEY_FILE) is missing" in err
    assert "BITLOOT_PORT" in err


def test_the_settings_in_force_are_shown_without_a_secret_even_one_from_a_file(
    town: Town, tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    secret.write_text(town.variables["BITLOOT_SECRET_KEY"] + "\n")
    code, out, err = told(
        town, "config", "--json", BITLOOT_SECRET_KEY=None, BITLOOT_SECRET_KEY_FILE=str(secret)
    )
    assert code == 0, err
    shown = json.loads(out)
    assert shown["BITLOOT_LIMIT_JOB_LEASE"] == "9s"
    assert shown["BITLOOT_NOWPAYMENTS_BASE_URL"] == town.url("nowpayments") + "/v1"
    hidden = {name for name, value in shown.items() if value == "****"}
    assert hidden >= {"BITLOOT_SECRET_KEY", "BITLOOT_LOCAL_PEPPER", "BITLOOT_LOCAL_KEKS"}
    for name in hidden & set(town.variables):
        assert town.variables[name] not in out, name
