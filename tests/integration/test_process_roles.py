"""What a role does when its address is taken, and the metrics of roles without a web server."""

import socket
import urllib.request

import pytest

from bitloot_web.metrics import open_metrics
from bitloot_web.process_roles import CannotListenError, _listen


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListenError, match=rf"cannot listen on 127\.0\.0\.1:{port}: "):
            _listen("127.0.0.1", port)


def test_a_worker_of_its_own_serves_its_metrics_until_it_ends() -> None:
    with _listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    metrics = open_metrics()
    metrics.job_ended("fulfil", "done", 0.2)
    end = metrics.serve("127.0.0.1", port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        page = answer.read().decode()
    end()
    assert 'bitloot_jobs_total{ending="done",kind="fulfil"} 1.0' in page
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
