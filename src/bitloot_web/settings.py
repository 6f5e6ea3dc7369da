"""What the shop is told by its environment, read once and checked before anything opens.

Every setting is `BITLOOT_<NAME>`; a secret may come from a file instead, `BITLOOT_<NAME>_FILE`.
Limits are `BITLOOT_LIMIT_<NAME>`, plugins' own settings `BITLOOT_<PLUGIN>_<FIELD>`. All that is
wrong is told in one message: wrong values, missing ones, and names that nothing reads.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from types import UnionType
from typing import Final, Literal, get_args, get_type_hints

import msgspec

from bitloot.domain.limits import Limits, limit_faults

PREFIX: Final = "BITLOOT_"
LIMIT_PREFIX: Final = "BITLOOT_LIMIT_"
# Read by the test suite, not by the shop.
FOREIGN_PREFIXES: Final = ("BITLOOT_TEST_",)
SECRET_MIN: Final = 32
MAX_SECRET_FILE: Final = 64 * 1024
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}

# As browsers write them (RFC 6454, section 6.1); a page without one, `null`, is nobody's.
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_ANY_ORIGIN: Final = "*"

# Values that stand in examples: fine for trying the shop out, refused in production.
EXAMPLE_SECRETS: Final = frozenset(
    {"change-me", "changeme", "secret", "example", "development-only"}
)
# The same for secrets of plugins and servers: what the compose file and the stand-ins use, the
# last one being how base64 begins that word.
EXAMPLE_MARKS: Final = ("development-only", "change-me", "changeme", "sandbox", "c2fuzgjvec")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The shop's own settings. URLs without a trailing slash; lists are comma-separated.

    The comment above a field is what `bitloot config --markdown` says of it.
    """

    # `production` refuses example secrets, plain http and the providers' test environments.
    environment: Literal["development", "production"] = "development"
    # PostgreSQL 15 or newer, as a libpq address.
    database_url: str
    # Valkey or Redis: doorbell, rate limits, codes, live updates. Nothing that must not be lost.
    redis_url: str
    # Where buyers and providers reach the shop; links and webhook addresses begin with it.
    public_url: str = "http://127.0.0.1:8000"
    # Where `bitloot serve` listens.
    host: str = "127.0.0.1"
    # The port of `bitloot serve`.
    port: int = 8000
    # The private folder of plugins that keep files.
    data_dir: str = "var"
    # What tokens, links, cursors and receipts are signed with: at least 32 characters.
    secret_key: str
    # The secret key of before: what it signed for orders and sessions opens them until it ends, and
    # links that keep an account or stop a recovery go on; accounts forgotten under it are known.
    previous_secret_keys: tuple[str, ...] = ()
    # The payment gateways; the first one takes new payments.
    gateways: tuple[str, ...] = ("nowpayments",)
    # Where keys come from; `custom` is the shop's own stock.
    suppliers: tuple[str, ...] = ("custom", "kinguin")
    # Where sealed keys are kept.
    key_vault: str = "local"
    # What sends mail.
    mailer: str = "resend"
    # What tells people from programs at orders and codes; `none` asks nobody.
    captcha: str = "none"
    # The web origins that may read answers; none unless named.
    cors_origins: tuple[str, ...] = ()
    # The networks of proxies whose forwarded addresses are believed.
    trusted_proxies: tuple[str, ...] = ()
    # The networks that may read `/metrics`.
    metrics_from: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    # Where a worker or scheduler of its own serves `/metrics`, on `host`; 0 is nowhere.
    metrics_port: int = 0
    # The least that is logged.
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # `json` is one object a line, `console` is for reading.
    log_format: Literal["json", "console"] = "json"
    # Off behind a pooler that hands each transaction another connection.
    prepared_statements: bool = True
    # What is added to a supplier's cost: a fraction, 0.15 is 15 percent.
    margin: Decimal = Decimal("0.15")
    # How many jobs a worker runs at once.
    worker_concurrency: int = 10
    # How many of each thing at once, for how long, how often.
    limits: Limits = msgspec.field(default_factory=Limits)

    def __repr__(self) -> str:
        return f"Settings(environment={self.environment!r}, public_url={self.public_url!r})"

    @property
    def is_production(self) -> bool:
        """Whether real money is at stake: example secrets and plain http are refused then."""
        return self.environment == "production"


_CHOICE_DEFAULTS: Final = {
    field.name: field.default
    for field in msgspec.structs.fields(Settings)
    if field.name in {"gateways", "suppliers", "key_vault", "mailer", "captcha"}
}
_OWN_SECRETS: Final = ("secret_key",)
_SCHEMES: Final = {
    "public_url": ("http://", "https://"),
    "database_url": ("postgresql://", "postgres://"),
    "redis_url": ("redis://", "rediss://", "unix://"),
}
SECRETS: Final = frozenset({"database_url", "redis_url", "secret_key", "previous_secret_keys"})
# What was a setting once, and what to do instead.
RETIRED: Final = {
    "BITLOOT_ADMIN_TOKEN": (
        "there is no such token any more: run `bitloot admin create EMAIL --with-key NAME`, which"
        " makes an owner and prints an API key for programs, and take this setting out"
    )
}


class SettingsError(Exception):
    """One readable line for each thing that is wrong."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n  ".join(("The settings cannot be used:", *self.faults)))


class Environment:
    """The variables of the process, remembering which were read.

    `read_file` gives the text of a secret's file; it is passed in so that reading has one home.
    """

    def __init__(
        self, variables: Mapping[str, str], *, read_file: Callable[[Path], str] | None = None
    ) -> None:
        self._variables = {k: v for k, v in variables.items() if k.startswith(PREFIX)}
        self._read_file = read_file or _read_secret_file
        self._known: set[str] = set()
        self._secrets: dict[str, str] = {}
        self.faults: list[str] = []

    def text(self, name: str, *, secret: bool = False) -> str | None:
        """The value of a variable, from its file where that is given; None where neither is."""
        self._known.add(name)
        value = self._variables.get(name)
        if not secret:
            return value
        value = self._secret(name, value)
        if value is not None:
            self._secrets[name] = value
        return value

    def _secret(self, name: str, value: str | None) -> str | None:
        file_name = f"{name}_FILE"
        self._known.add(file_name)
        path = self._variables.get(file_name)
        if path is None:
            return value
        if value is not None:
            self.faults.append(f"{name} and {file_name} are both set; keep one")
            return value
        try:
            return self._read_file(Path(path)).strip()
        except (OSError, UnicodeDecodeError) as error:
            fault = type(error).__name__
            self.faults.append(f"{file_name} names a file that cannot be read: {fault}")
            return None

    def struct(
        self, shape: type[msgspec.Struct], prefix: str, secrets: frozenset[str] = frozenset()
    ) -> dict[str, object]:
        """The values of a struct's fields, each converted; faults are collected, not raised."""
        hints = get_type_hints(shape)
        values: dict[str, object] = {}
        for field in msgspec.structs.fields(shape):
            if field.name == "limits":
                continue
            name = prefix + field.name.upper()
            text = self.text(name, secret=field.name in secrets)
            if text is None:
                if field.required:
                    hint = f" (or {name}_FILE)" if field.name in secrets else ""
                    self.faults.append(f"{name}{hint} is missing")
                continue
            try:
                values[field.name] = convert(text, hints[field.name])
            except (msgspec.ValidationError, ValueError) as error:
                shown = "" if field.name in secrets else f" ({_expectation(error)})"
                self.faults.append(f"{name} has a value that cannot be used{shown}")
        return values

    def know(self, prefix: str, shape: type[msgspec.Struct]) -> None:
        """Names that are settings of something, though nothing reads them now."""
        names = {prefix + field.name.upper() for field in msgspec.structs.fields(shape)}
        self._known |= names | {f"{name}_FILE" for name in names}

    def examples(self) -> list[str]:
        """A line for each secret that stands in an example: none is fit for production."""
        return [
            f"{name} is an example value; make a secret of its own"
            for name, value in self._secrets.items()
            if any(mark in value.lower() for mark in EXAMPLE_MARKS)
        ]

    def unknown(self) -> list[str]:
        """A line for each variable that nothing read, with the nearest name that would be."""
        found: list[str] = []
        for name in sorted(self._variables):
            if name in self._known or name.startswith(FOREIGN_PREFIXES):
                continue
            if (instead := RETIRED.get(name.removesuffix("_FILE"))) is not None:
                found.append(f"{name} is not a setting now; {instead}")
                continue
            near = difflib.get_close_matches(name, self._known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(f"{name} is not a setting{hint}")
        return found


def convert(text: str, kind: type | UnionType) -> object:
    """A variable's text as a field's type: lists by commas, durations as `15m`, `900s`, `24h`."""
    if kind is timedelta:
        return _duration(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    args = get_args(kind)
    if getattr(kind, "__origin__", None) is tuple:
        return tuple(convert(part, args[0]) for part in parts)
    if isinstance(kind, UnionType):
        kind = next(arg for arg in args if arg is not type(None))
    if kind is str:
        return text
    converted: object = msgspec.convert(text.strip(), kind, strict=False)
    if isinstance(converted, Decimal | float) and not math.isfinite(converted):
        raise ValueError("write a number such as 0.15")
    return converted


def _duration(text: str) -> timedelta:
    matched = _DURATION.fullmatch(text.strip())
    if matched is None:
        raise ValueError("write a duration such as 30s, 15m, 24h or 7d")
    return timedelta(seconds=float(matched[1]) * _UNIT_SECONDS[matched[2]])


def _expectation(error: Exception) -> str:
    return str(error).splitlines()[0].replace("`", "")


def _read_secret_file(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(MAX_SECRET_FILE).decode()


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which plugins are wanted: known even where other settings cannot be used."""

    gateways: tuple[str, ...]
    suppliers: tuple[str, ...]
    key_vault: str
    mailer: str
    captcha: str
    is_production: bool


def read_settings(environment: Environment) -> tuple[Settings | None, Choice]:
    """The shop's own settings, None (with faults collected) when they cannot be used."""
    values = environment.struct(Settings, PREFIX, SECRETS)
    limit_values = environment.struct(Limits, LIMIT_PREFIX)
    wanted = {name: values.get(name, default) for name, default in _CHOICE_DEFAULTS.items()}
    choice = msgspec.convert(
        {**wanted, "is_production": values.get("environment") == "production"}, Choice
    )
    if environment.faults:
        return None, choice
    limits = msgspec.convert(limit_values, Limits)
    settings = msgspec.structs.replace(msgspec.convert(values, Settings), limits=limits)
    environment.faults += [f"limits: {fault}" for fault in limit_faults(limits)]
    environment.faults += settings_faults(settings)
    return settings, choice


def settings_faults(settings: Settings) -> list[str]:
    """What the types cannot say: addresses, ports, and secrets fit for production."""
    found = [
        f"{PREFIX}{name.upper()} must be a {' or '.join(schemes)} address"
        for name, schemes in _SCHEMES.items()
        if not str(getattr(settings, name)).startswith(schemes)
    ]
    if settings.public_url.endswith("/"):
        found.append("BITLOOT_PUBLIC_URL must not end with a slash")
    if not 0 < settings.port < 65536:
        found.append("BITLOOT_PORT must be between 1 and 65535")
    if not 0 <= settings.metrics_port < 65536:
        found.append("BITLOOT_METRICS_PORT must be between 0 and 65535")
    if not 0 <= settings.margin < 100:
        found.append("BITLOOT_MARGIN is a fraction of the cost, such as 0.15")
    found += [
        f"{PREFIX}{name.upper()} must name at least one plugin"
        for name in ("gateways", "suppliers")
        if not getattr(settings, name)
    ]
    found += [
        f"{PREFIX}{name.upper()} must have at least {SECRET_MIN} characters"
        for name in _OWN_SECRETS
        if len(getattr(settings, name)) < SECRET_MIN
    ]
    found += [
        f"{PREFIX}{name.upper()} must name networks such as 10.0.0.0/8 or ::1"
        for name in ("trusted_proxies", "metrics_from")
        if not all(map(_is_network, getattr(settings, name)))
    ]
    if not all(map(_is_origin, settings.cors_origins)):
        found.append("BITLOOT_CORS_ORIGINS must name origins such as https://app.example")
    if any(len(secret) < SECRET_MIN for secret in settings.previous_secret_keys):
        found.append(
            f"BITLOOT_PREVIOUS_SECRET_KEYS must have at least {SECRET_MIN} characters each"
        )
    return found + (_production_faults(settings) if settings.is_production else [])


def _production_faults(settings: Settings) -> list[str]:
    found = [
        f"{PREFIX}{name.upper()} is an example value; make a secret of its own"
        for name in _OWN_SECRETS
        if is_weak(getattr(settings, name))
    ]
    if any(map(is_weak, settings.previous_secret_keys)):
        found.append("BITLOOT_PREVIOUS_SECRET_KEYS has an example value; leave it out")
    if not settings.public_url.startswith("https://"):
        found.append("BITLOOT_PUBLIC_URL must be https in production")
    if _ANY_ORIGIN in settings.cors_origins:
        found.append("BITLOOT_CORS_ORIGINS must name origins in production, not *")
    if any(map(_is_everybody, settings.trusted_proxies)):
        found.append(
            "BITLOOT_TRUSTED_PROXIES must not name everybody: anyone could forge addresses"
        )
    return found


def _is_origin(text: str) -> bool:
    return text == _ANY_ORIGIN or _ORIGIN.fullmatch(text) is not None


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_everybody(text: str) -> bool:
    return _is_network(text) and not ip_network(text, strict=False).prefixlen


def is_weak(secret: str) -> bool:
    """An example value, or one made of so few characters that it was typed, not generated."""
    lowered = secret.lower()
    return len(set(secret)) < 8 or any(example in lowered for example in EXAMPLE_SECRETS)
