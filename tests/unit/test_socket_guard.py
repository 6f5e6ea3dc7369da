"""The guard of the unit tests can say no, and says it even to code that swallows errors."""

import contextlib
import socket
from typing import Protocol

import pytest


class Guard(Protocol):
    scope: str | None
    attempts: list[str]

    def settle(self) -> None: ...


FAR = ("192.0.2.1", 9)
"""TEST-NET-1 (RFC 5737): nobody answers there, and nobody is asked."""
NEAR = ("127.0.0.1", 0)


def test_a_unit_test_may_not_even_reach_loopback(socket_guard: Guard) -> None:
    with socket.socket() as probe, pytest.raises(AssertionError, match=r"socket\.bind"):
        probe.bind(NEAR)
    with pytest.raises(AssertionError, match=r"socket\.getaddrinfo"):
        socket.getaddrinfo("localhost", 80)
    socket_guard.attempts.clear()


def test_an_attempt_that_the_code_swallows_still_fails_its_test(socket_guard: Guard) -> None:
    with socket.socket() as probe, contextlib.suppress(AssertionError):
        probe.connect(FAR)
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1.*tests/unit"):
        socket_guard.settle()


def test_a_contract_test_reaches_loopback_and_nothing_further(socket_guard: Guard) -> None:
    socket_guard.scope = "contract"
    with socket.socket() as probe:
        probe.bind(NEAR)
        with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
            probe.connect(FAR)
    with pytest.raises(AssertionError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 443)
    socket_guard.attempts.clear()
