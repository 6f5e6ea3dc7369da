"""Tokens: issued as a widget would, and judged as ``siteverify`` judges them.

Source: Cloudflare Turnstile documentation, "Validate the token", "Error codes", "Testing".
"""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bitloot_adapters.sandbox.turnstile.config import Site, TurnstileSandboxConfig

DUMMY: Final = "XXXX.DUMMY.TOKEN.XXXX"
TEST_SITE_KEYS: Final = frozenset(
    {
        "1x00000000000000000000AA",
        "2x00000000000000000000AB",
        "1x00000000000000000000BB",
        "2x00000000000000000000BB",
        "3x00000000000000000000FF",
    }
)
# What each published test secret says of the dummy token; None is success.
TEST_SECRETS: Final[dict[str, str | None]] = {
    "1x0000000000000000000000000000000AA": None,
    "2x0000000000000000000000000000000AA": "invalid-input-response",
    "3x0000000000000000000000000000000AA": "timeout-or-duplicate",
}
MAX_TOKEN: Final = 2048
MIN_TOKEN: Final = 32
MAX_TOKENS: Final = 100_000
"""Tokens that are remembered; beyond it the oldest is forgotten, as if it was never issued."""


class Question(msgspec.Struct, frozen=True):
    """One call of ``siteverify``. What was not sent is empty."""

    secret: str = ""
    response: str = ""
    remoteip: str = ""
    idempotency_key: str = ""


class Issued(msgspec.Struct):
    """One token. `answered` holds the idempotency keys (or "") of successes, by secret."""

    site_key: str
    action: str
    cdata: str
    hostname: str
    issued_at: datetime
    answered: dict[str, str] = {}


class Tokens:
    """Everything that one stand-in remembers. A restart forgets it."""

    def __init__(
        self, config: TurnstileSandboxConfig, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._config = config
        self._clock = clock or _utc_now
        self._ahead = timedelta()
        self._issued: dict[str, Issued] = {}

    def now(self) -> datetime:
        return self._clock() + self._ahead

    def advance(self, span: timedelta) -> None:
        self._ahead += span

    def forget(self) -> None:
        self._issued.clear()

    def __len__(self) -> int:
        return len(self._issued)

    def site(self, site_key: str | None) -> Site | None:
        """The site of a key; for None the first one."""
        if site_key is None:
            return next(iter(self._config.sites), None)
        return next((site for site in self._config.sites if site.site_key == site_key), None)

    def issue(self, site: Site, *, action: str, cdata: str, hostname: str, length: int) -> str:
        """A fresh opaque token of that many characters."""
        if len(self._issued) >= MAX_TOKENS:
            del self._issued[next(iter(self._issued))]
        token = f"0.{secrets.token_urlsafe(length)}"[:length]
        self._issued[token] = Issued(site.site_key, action, cdata, hostname, self.now())
        return token

    def judge(self, question: Question) -> dict[str, object]:
        """The body of the answer."""
        missing = [
            code
            for code, sent in (
                ("missing-input-secret", question.secret),
                ("missing-input-response", question.response),
            )
            if not sent
        ]
        if missing:
            return refusal(*missing)
        if question.idempotency_key and not _is_uuid(question.idempotency_key):
            return refusal("bad-request")
        if question.secret in TEST_SECRETS:
            return self._of_test_secret(question)
        site = next((s for s in self._config.sites if question.secret in s.secrets), None)
        if site is None:
            return refusal("invalid-input-secret")
        token = self._issued.get(question.response)
        if len(question.response) > MAX_TOKEN or token is None or token.site_key != site.site_key:
            return refusal("invalid-input-response")
        return self._of_token(token, question)

    def _of_test_secret(self, question: Question) -> dict[str, object]:
        code = TEST_SECRETS[question.secret]
        if question.response != DUMMY:
            code = "invalid-input-response"
        if code is not None:
            return refusal(code)
        told = _success(self.now(), self._config.test_hostname, "", "")
        return {**told, "metadata": {"interactive": False}}

    def _of_token(self, token: Issued, question: Question) -> dict[str, object]:
        """Once for each secret; again for the call that is repeated under its own key."""
        first = token.answered.get(question.secret)
        is_repeat = first is not None and first == question.idempotency_key != ""
        age = (self.now() - token.issued_at).total_seconds()
        if not is_repeat and (first is not None or age > self._config.token_seconds):
            return refusal("timeout-or-duplicate")
        token.answered[question.secret] = question.idempotency_key
        return _success(token.issued_at, token.hostname, token.action, token.cdata)


def refusal(*codes: str) -> dict[str, object]:
    """An ordinary failure, which comes with status 200."""
    return {"success": False, "error-codes": list(codes)}


def _success(at: datetime, hostname: str, action: str, cdata: str) -> dict[str, object]:
    return {
        "success": True,
        "challenge_ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "hostname": hostname,
        "error-codes": [],
        "action": action,
        "cdata": cdata,
    }


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _utc_now() -> datetime:
    return datetime.now(UTC)
