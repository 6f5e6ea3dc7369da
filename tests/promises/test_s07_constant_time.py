"""S7: how much of a secret is right cannot be told by how long its comparison takes.

That every comparison in the code is by `compare_digest` is a rule of the tree (test_tidy.py); here
the doors that compare are timed, with as much of the secret right as a guesser might have found.
"""

import gc
import hmac
import random
import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from math import sqrt
from typing import Final

from tests.promises.figures import Figures

from bitloot.domain.limits import Limits
from bitloot.domain.link_token import mint, read
from bitloot.domain.session import Client, open_session
from bitloot_adapters.nowpayments.signature import is_signed
from bitloot_adapters.resend.signature import verified_id
from bitloot_web.tokens import InvalidToken, SessionTokens

AT: Final = datetime(2031, 5, 4, 12, 0, tzinfo=UTC)
LIMITS: Final = Limits()
TOKENS: Final = SessionTokens(
    ["a-secret-key-for-these-tests-9876543210"], issuer="https://shop.example", limits=LIMITS
)
SESSION: Final = open_session("user-1", Client(), session_id="session-1", at=AT, limits=LIMITS)
HEX: Final = "0123456789abcdef"
BASE64: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# Of 32 bytes the last letter says four bits: any other letter is refused before it is compared.
LAST: Final = "AEIMQUYcgkosw048"
SHARES: Final = (0.0, 0.25, 0.5, 0.75, 0.97)
T_MOST: Final = 4.5
# What took longest was held up by something else.
KEPT: Final = 0.9
WARM: Final = 100

Try = Callable[[str], object]


def doors() -> dict[str, tuple[Try, str, str]]:
    """What is asked with a guess, what is right, and the letters that guesses are made of."""
    header, body, signature = TOKENS.pair(SESSION).access.split(".")
    key = bytes(range(32))
    link, _, seal = mint(key, "deletion-1", AT).partition(".")
    callback, secret = b'{"payment_id":1}', "ipn-secret"
    whole = hmac.new(secret.encode(), callback, "sha512").hexdigest()
    mail = b64encode(hmac.digest(key, b"msg_1.1000." + callback, "sha256")).decode()
    whsec = f"whsec_{b64encode(key).decode()}"

    def opened(guess: str) -> None:
        with suppress(InvalidToken):
            TOKENS.opened(f"{header}.{body}.{guess}", at=AT)

    def heard(guess: str) -> object:
        headers = {"svix-id": "msg_1", "svix-timestamp": "1000", "svix-signature": f"v1,{guess}"}
        return verified_id(headers, callback, secret=whsec, now=1000.0, tolerance=300.0)

    return {
        "access token": (opened, signature, BASE64),
        "CSRF token": (
            lambda guess: TOKENS.is_csrf(SESSION.id, guess),
            TOKENS.csrf(SESSION.id),
            HEX,
        ),
        "link in a mail": (lambda guess: read(key, f"{link}.{guess}"), seal, BASE64),
        "callback": (lambda guess: is_signed(callback, guess, secret), whole, HEX),
        "mail event": (heard, mail, BASE64),
    }


def letter_by_letter(right: str) -> Try:
    """The comparison that must not be: it ends at the first letter that differs."""

    def compare(guess: str) -> bool:
        return all(one == other for one, other in zip(right, guess, strict=True))

    return compare


def guess(right: str, share: float, letters: str, chance: random.Random) -> str:
    """A wrong text whose beginning is right, and which was in no memory before."""
    known = int(len(right) * share)
    last = LAST if letters is BASE64 else letters
    first = chance.choice([each for each in letters if each != right[known]])
    tail = [chance.choice(letters) for _ in range(len(right) - known - 2)]
    end = chance.choice(last) if known < len(right) - 1 else ""
    return right[:known] + first + "".join(tail) + end


def times(door: Try, right: str, letters: str, samples: int) -> list[list[int]]:
    """Nanoseconds by how much of the guess is right, in turns of a random order."""
    chance = random.Random(7)
    found: list[list[int]] = [[] for _ in SHARES]
    for number in range(samples + WARM):
        # All of a turn are made before any is tried: what is made just before warms the processor.
        shares = chance.sample(list(enumerate(SHARES)), len(SHARES))
        turn = [(index, guess(right, share, letters, chance)) for index, share in shares]
        chance.shuffle(turn)
        for index, text in turn:
            began = time.perf_counter_ns()
            door(text)
            took = time.perf_counter_ns() - began
            if number >= WARM:
                found[index].append(took)
    return found


def welch(one: Sequence[int], other: Sequence[int]) -> float:
    """Welch's t between two samples without their slowest tenths."""
    kept = [sorted(each)[: int(len(each) * KEPT)] for each in (one, other)]
    means = [statistics.fmean(each) for each in kept]
    errors = [statistics.variance(each) / len(each) for each in kept]
    return (means[0] - means[1]) / sqrt(sum(errors))


def highest(door: Try, right: str, letters: str, samples: int) -> float:
    """The largest difference to a guess of which nothing is right."""
    nothing, *others = times(door, right, letters, samples)
    return max(abs(welch(nothing, each)) for each in others)


def test_s7_the_time_of_a_comparison_tells_nothing_of_what_is_right(figures: Figures) -> None:
    samples = 20_000 if figures.full else 800
    gc.disable()
    try:
        found = {name: highest(*door, samples) for name, door in doors().items()}
        whole = TOKENS.csrf(SESSION.id)
        planted = highest(letter_by_letter(whole), whole, HEX, samples)
    finally:
        gc.enable()
    told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    figures.note(
        "S7",
        "the time of a comparison tells nothing of how much of a secret is right",
        figure=f"{samples} tries for each of {len(SHARES)} shares that are right: Welch's t at most"
        f" {told}; a comparison letter by letter would give {planted:.0f}",
        scale="full" if figures.full else "÷ 25",
        holds=max(found.values()) < T_MOST < planted,
    )
