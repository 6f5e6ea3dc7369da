"""The JWT of `POST /auth`: HS256, five minutes by the server's own clock."""

import base64
import binascii
import hashlib
import hmac
import json

from bitloot_adapters.sandbox.nowpayments.world import World


def issue_token(world: World) -> str:
    issued = int(world.clock.now().timestamp())
    claims = {"id": "4600123", "iat": issued, "exp": issued + world.config.jwt_seconds}
    head = _encode(b'{"alg":"HS256","typ":"JWT"}')
    body = _encode(json.dumps(claims, separators=(",", ":")).encode())
    return f"{head}.{body}.{_signature(world, f'{head}.{body}')}"


def token_holds(world: World, authorization: str) -> bool:
    """Whether `Bearer <jwt>` was signed here and has not run out."""
    scheme, _, token = authorization.partition(" ")
    head, _, rest = token.partition(".")
    body, _, signature = rest.partition(".")
    expected = _signature(world, f"{head}.{body}")
    if scheme.lower() != "bearer" or not hmac.compare_digest(expected.encode(), signature.encode()):
        return False
    try:
        expiry = int(json.loads(_decode(body))["exp"])
    except (ValueError, KeyError, binascii.Error):
        return False
    return world.clock.now().timestamp() < expiry


def _signature(world: World, text: str) -> str:
    secret = world.config.jwt_secret.encode()
    return _encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
