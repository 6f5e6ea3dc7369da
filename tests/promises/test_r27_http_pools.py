"""R27: pools of the HTTP client outlive cancelled, hanging and cut exchanges over real sockets."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from tests.promises.figures import Figures

from bitloot.domain.limits import Limits
from bitloot_adapters.http import Ambiguous, Answer, HttpClient, NotSent, open_client

CANCELLED = 10_000
AT_ONCE = 100
GOOD = 100
BODY = b'{"good": true}'
GOOD_ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n" + BODY
)


class TinyServer:
    """Answers `/good` at once, `/slow` after some milliseconds, `/hang` never.

    `/cut` closes without an answer, `/half` in the middle of one, `/big` sends without an end.
    """

    def __init__(self) -> None:
        self.served = 0
        self.open = 0
        self.most_open = 0
        self._chance = random.Random(7)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self.open -= 1
            writer.close()
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1]
        if path == b"/cut":
            return False
        if path == b"/hang":
            await reader.read()
            return False
        if path == b"/slow":
            await asyncio.sleep(self._chance.uniform(0, 0.004))
        if path == b"/big":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        writer.write(GOOD_ANSWER[:-5] if path == b"/half" else GOOD_ANSWER)
        await writer.drain()
        self.served += 1
        return path != b"/half"


@contextlib.asynccontextmanager
async def served(limits: Limits) -> AsyncIterator[tuple[HttpClient, TinyServer]]:
    server = TinyServer()
    talks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.talk(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        async with open_client(
            f"http://127.0.0.1:{port}", limits=limits, in_transaction=lambda: False, headers={}
        ) as client:
            yield client, server
    finally:
        listening.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)
        await listening.wait_closed()


async def cancelled_call(client: HttpClient, path: str, after: float) -> None:
    call = asyncio.create_task(client.send("GET", path))
    await asyncio.sleep(after)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError, NotSent, Ambiguous):
        await call


async def good_calls(client: HttpClient) -> list[Answer]:
    return [await client.send("GET", "/good") for _ in range(GOOD)]


async def test_r27_ten_thousand_cancelled_calls_cost_not_one_of_a_hundred_good_ones(
    figures: Figures,
) -> None:
    chance = random.Random(11)
    cancelled = CANCELLED if figures.full else CANCELLED // 4
    async with served(Limits()) as (client, server):
        for _ in range(cancelled // AT_ONCE):
            await asyncio.gather(
                *(
                    cancelled_call(client, "/slow", chance.choice([0, 0, 0.001, 0.003]))
                    for _ in range(AT_ONCE)
                )
            )
        answers = await good_calls(client)
    good = sum((answer.status, answer.body) == (200, BODY) for answer in answers)
    most = Limits().http_connections
    figures.note(
        "R27",
        "cancelled calls leave the pool whole",
        figure=f"{cancelled} cancelled calls, then {good} of {GOOD} good ones; at most"
        f" {server.most_open} connections of {most}",
        scale="full" if figures.full else "÷ 4",
        holds=good == GOOD and server.served > GOOD and server.most_open <= most,
    )


async def test_r27_calls_that_hang_until_the_deadline_give_their_places_back() -> None:
    limits = Limits(http_total=timedelta(seconds=0.3), http_pool=timedelta(seconds=0.1))
    async with served(limits) as (client, _):
        hanging = [client.send("GET", "/hang") for _ in range(limits.http_connections)]
        refused = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(each) for each in refused} == {Ambiguous}
        assert len(await good_calls(client)) == GOOD


async def test_r27_a_full_pool_says_that_nothing_was_sent() -> None:
    limits = Limits(http_total=timedelta(seconds=0.5), http_pool=timedelta(seconds=0.1))
    async with served(limits) as (client, _):
        hanging = [
            asyncio.create_task(client.send("GET", "/hang")) for _ in range(limits.http_connections)
        ]
        await asyncio.sleep(0.1)
        with pytest.raises(NotSent, match="pool_timeout"):
            await client.send("GET", "/good")
        await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize("path", ["/cut", "/half"])
async def test_r27_an_answer_that_is_cut_off_leaves_it_unknown_and_the_pool_whole(
    path: str,
) -> None:
    async with served(Limits()) as (client, _):
        for _ in range(50):
            with pytest.raises(Ambiguous):
                await client.send("GET", path)
        assert len(await good_calls(client)) == GOOD


async def test_r27_an_answer_without_an_end_is_not_read_past_the_limit() -> None:
    async with served(Limits(http_answer_bytes=200_000)) as (client, _):
        with pytest.raises(Ambiguous, match="answer_too_large"):
            await client.send("GET", "/big")
        assert (await client.send("GET", "/good")).body == BODY


async def test_r27_a_server_that_is_not_there_was_certainly_not_reached() -> None:
    async with served(Limits()) as (client, _):
        await client.send("GET", "/good")
    async with open_client(
        "http://127.0.0.1:9", limits=Limits(), in_transaction=lambda: False, headers={}
    ) as nobody:
        with pytest.raises(NotSent, match="connect_error"):
            await nobody.send("POST", "/order", body=b"{}")


async def test_r27_no_call_leaves_while_a_transaction_is_open() -> None:
    async with open_client(
        "http://127.0.0.1:9", limits=Limits(), in_transaction=lambda: True, headers={}
    ) as client:
        with pytest.raises(RuntimeError, match="transaction"):
            await client.send("GET", "/good")
