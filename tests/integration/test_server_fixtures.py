"""The servers that the other tests stand on."""

import psycopg
import redis

from bitloot_web.devservices import Databases, ValkeyStore


def test_the_database_server_of_the_run_is_15_or_newer(postgres_server: Databases) -> None:
    assert postgres_server.version() >= 15
    url = postgres_server.create_database("fixture_probe")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    postgres_server.drop_database("fixture_probe")


def test_the_store_of_the_run_can_be_emptied(valkey_server: ValkeyStore) -> None:
    with redis.Redis.from_url(valkey_server.url) as client:
        client.set("colour", "blue")
        valkey_server.flush()
        assert client.get("colour") is None
