"""Tokens that somebody makes who has seen a good one, and knows everything but the secret.

Sources: RFC 8725 (JSON Web Token best current practices), RFC 7515 (what a header may name).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bitloot_web import derived_keys as keys

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Part: TypeAlias = dict[str, Json]

PURPOSES: Final = (
    keys.ACCESS, keys.REFRESH, keys.ORDER_SESSION, keys.CSRF, keys.DOWNLOAD_LINK, keys.CURSOR,
)  # fmt: skip
DIGESTS: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
# Where a library that asks the token for its key would be told it.
ELSEWHERE: Final = "https://evil.example/keys.json"


def text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: Part) -> str:
    return text(json.dumps(value, separators=(",", ":")).encode())


def read(token: str) -> tuple[Part, Part]:
    """The header and the claims of a token."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(f"{each}==")) for each in (header, claims))


def signed(key: bytes, header: Part, claims: Part) -> str:
    """By HMAC, of the kind that the header names or of SHA-256 where it names another."""
    body = f"{part(header)}.{part(claims)}"
    kind = DIGESTS.get(str(header.get("alg")), "sha256")
    return f"{body}.{text(hmac.digest(key, body.encode(), kind))}"


def without(value: Part, name: str) -> Part:
    return {key: each for key, each in value.items() if key != name}


def unsigned(token: str) -> Iterator[str]:
    """`alg` none, in every spelling, with the signature that was there and without."""
    header, claims = read(token)
    signature = token.rpartition(".")[2]
    for name in ("none", "None", "NONE", "nOnE", ""):
        body = f"{part({**header, 'alg': name})}.{part(claims)}"
        yield f"{body}."
        yield f"{body}.{signature}"
    yield f"{part(without(header, 'alg'))}.{part(claims)}."


def confused(token: str, key: bytes) -> Iterator[str]:
    """Another algorithm than the one that was meant, and a public key in place of the secret."""
    header, claims = read(token)
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name in ("HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"):
        yield signed(key, {**header, "alg": name}, claims)
    own_id = hashlib.sha256(public).hexdigest()[:8]
    for more in ({}, {"kid": own_id}):
        yield signed(public, {**header, **more}, claims)
        body = f"{part({**header, **more, 'alg': 'RS256'})}.{part(claims)}"
        made = private.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
        yield f"{body}.{text(made)}"


def pointing_elsewhere(token: str, key: bytes) -> Iterator[str]:
    """A header that tells where the key is, or that is not as ours are."""
    header, claims = read(token)
    theirs = bytes(32)
    brought: Part = {"kty": "oct", "k": text(theirs)}
    told: tuple[Part, ...] = (
        {"jwk": brought}, {"jku": ELSEWHERE}, {"x5u": ELSEWHERE}, {"x5c": ["AAAA"]},
        {"kid": hashlib.sha256(theirs).hexdigest()[:8]}, {"kid": "../../../../dev/null"},
        {"kid": "' OR 1=1 --"}, {"kid": ""}, {"kid": None}, {"kid": ["a"]}, {},
    )  # fmt: skip
    for more in told:
        yield signed(theirs, {**header, **more}, claims)
    odd: tuple[Part, ...] = (
        {"jwk": brought}, {"jku": ELSEWHERE}, {"crit": ["exp"]}, {"b64": False}, {"zip": "DEF"},
        {"typ": "at+jwt"}, {"typ": "order_session"}, {"typ": None}, {"kid": "00000000"},
        {"cty": "JWT"},
    )  # fmt: skip
    for more in odd:
        yield signed(key, {**header, **more}, claims)
    for name in header:
        yield signed(key, without(header, name), claims)


def other_claims(token: str, key: bytes, now: int) -> Iterator[str]:
    """What is signed well and says something else, as no key of ours ever signed it."""
    header, claims = read(token)
    for name in claims:
        yield signed(key, header, without(claims, name))
    changes: tuple[Mapping[str, Json], ...] = (
        {"exp": now - 31}, {"iat": now + 300}, {"nbf": now + 300}, {"exp": now + 10**8},
        {"iat": now - 4000, "nbf": now - 4000, "exp": now - 3100},
        {"aud": "bitloot/access"}, {"aud": "bitloot/refresh"}, {"aud": "bitloot/order-session"},
        {"aud": [claims["aud"]]}, {"type": "access"},
        {"aud": ""}, {"iss": "https://evil.example"}, {"iss": None}, {"type": "refresh"},
        {"type": "order_session"}, {"type": ""}, {"sid": ""}, {"sid": 7}, {"gen": 0},
        {"gen": "1"}, {"gen": True}, {"sub": 7}, {"sub": None},
        {"sid": "01c2ae78-4200-7eee-b48f-c209128b2f33"},
    )  # fmt: skip
    for more in changes:
        if (changed := {**claims, **more}) != claims:
            yield signed(key, header, changed)


def other_keys(token: str, secret: str, own: str) -> Iterator[str]:
    """Signed with a key of the shop that is for something else."""
    header, claims = read(token)
    for purpose in PURPOSES:
        if purpose == own:
            continue
        key = keys.derive(secret, purpose)
        yield signed(key, header, claims)
        yield signed(key, {**header, "kid": hashlib.sha256(key).hexdigest()[:8]}, claims)
    yield signed(secret.encode(), header, claims)
    yield signed(b"", header, claims)


def spoilt(token: str) -> Iterator[str]:
    """Shortened, lengthened, and in other letters that decode to the same."""
    header, claims, signature = token.split(".")
    yield from (token[:length] for length in range(1, len(token), 40))
    yield from (token[:-1], token[1:], f"{token}x", f"{token}=", f"{token}.", f".{token}")
    yield from (f"{header}.{claims}", f"{header}.{claims}.", f"..{signature}", "..", "a.b.c")
    yield from (f"{header}..{signature}", f"{claims}.{header}.{signature}", "x" * 4000)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters.index(signature[-1])
    yield from (f"{token[:-1]}{letters[last ^ bits]}" for bits in (1, 2, 3))


def forged(token: str, secret: str, purpose: str, now: int) -> list[str]:
    """All of them. `purpose` names the key that the good token is signed with."""
    key = keys.derive(secret, purpose)
    return [
        *unsigned(token),
        *confused(token, key),
        *pointing_elsewhere(token, key),
        *other_claims(token, key, now),
        *other_keys(token, secret, purpose),
        *spoilt(token),
    ]
