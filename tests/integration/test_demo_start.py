"""What a demo is started with: ports of its own, and a folder that can be used."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bitloot_web.demo.ports import Ports, reserved_ports


def numbers(ports: Ports) -> set[int]:
    return {ports.shop, *ports.sandboxes.values()}


def test_demos_that_start_in_the_same_moment_choose_different_ports(tmp_path: Path) -> None:
    with reserved_ports(8000, tmp_path) as one, reserved_ports(8000, tmp_path) as other:
        assert len(numbers(one)) == len(numbers(other)) == 4
        assert numbers(one).isdisjoint(numbers(other))


def test_a_demo_that_ended_gives_its_ports_back(tmp_path: Path) -> None:
    with reserved_ports(8000, tmp_path) as first:
        before = numbers(first)
    with reserved_ports(first.shop, tmp_path) as second:
        assert second.shop in before


def test_a_port_where_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with reserved_ports(port, tmp_path) as ports:
            assert port not in numbers(ports)


@pytest.mark.parametrize("place", ["sandbox", "sandbox/kinguin", "secrets.json/"])
def test_a_file_where_a_folder_should_be_is_told_in_one_line(tmp_path: Path, place: str) -> None:
    wrong = tmp_path / place
    wrong.parent.mkdir(exist_ok=True)
    if place.endswith("/"):
        wrong.mkdir()
    else:
        wrong.touch()
    command = [sys.executable, "-m", "bitloot_web.cli", "demo", "--once", "--data", str(tmp_path)]
    environment = {**os.environ, "COLUMNS": "400"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 1, ended.stderr
    assert str(wrong) in ended.stderr
    assert "Traceback" not in ended.stderr
