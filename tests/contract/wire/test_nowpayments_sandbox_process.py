"""The NOWPayments stand-in as a server on a socket, and its memory across restarts."""

import ast
import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from litestar import Litestar

from bitloot_adapters.sandbox.nowpayments.app import build_app
from bitloot_adapters.sandbox.nowpayments.bench import Receiver, bench
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig

CONFIG = NowPaymentsSandboxConfig()
ORDER = {
    "price_amount": 17.5,
    "price_currency": "eur",
    "pay_currency": "ltc",
    "order_id": "order-7",
    "ipn_callback_url": "https://shop.example/ipn",
}


@asynccontextmanager
async def serving(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """The application behind a real socket, as its own process would serve it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    headers = {"x-api-key": CONFIG.api_keys[0]}
    try:
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.mark.emulator("nowpayments", 11)
async def test_a_dropped_reply_closes_the_socket_without_a_byte() -> None:
    """Line 11: over a real connection the work is done and the connection ends."""
    async with serving(build_app(CONFIG, deliver=Receiver())) as client:
        await client.post("/_control/faults", json={"op": "create_payment", "fault": "drop_after"})
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await client.post("/v1/payment", json=ORDER)
        assert len((await client.get("/_control/payments")).json()["payments"]) == 1


@pytest.mark.emulator("nowpayments", 4)
async def test_callbacks_leave_by_themselves_in_real_time_and_are_retried() -> None:
    """Line 4: the running server delivers, and retries, without being driven."""
    receiver = Receiver(answers=[503])
    config = NowPaymentsSandboxConfig(ipn_retry_seconds=0.05, autopay_after=0.05, step_seconds=0.02)
    async with serving(build_app(config, deliver=receiver)) as client:
        await client.post("/v1/payment", json=ORDER)
        async with asyncio.timeout(10):
            while len(receiver.got) < 5:
                receiver.arrived.clear()
                await receiver.arrived.wait()
    assert sorted(callback.status for callback in receiver.got) == [
        "confirmed",
        "confirming",
        "confirming",
        "finished",
        "sending",
    ]


async def test_callbacks_go_out_over_plain_http_by_default() -> None:
    """The default sender posts to the address that the payment names."""
    async with serving(build_app(CONFIG, deliver=Receiver())) as shop:
        target = f"{shop.base_url}/v1/payment"  # answers 403 JSON to what has no key
        async with serving(build_app(CONFIG)) as client:
            order = ORDER | {"ipn_callback_url": target}
            number = (await client.post("/v1/payment", json=order)).json()["payment_id"]
            await client.post(f"/_control/payments/{number}/status", json={"status": "finished"})
            async with asyncio.timeout(10):
                while True:
                    (entry,) = (await client.get("/_control/ipns")).json()["ipns"]
                    if entry["attempts"]:
                        break
                    await asyncio.sleep(0.01)
            assert entry["attempts"][0]["status"] == 403


async def test_a_restarted_server_goes_on_from_its_folder(tmp_path: Path) -> None:
    """Payments, invoices, settings, time, waiting moves and callbacks survive."""
    config = NowPaymentsSandboxConfig(state_dir=str(tmp_path), step_seconds=60)
    async with bench(config) as opened:
        number = await opened.create()
        order = {"price_amount": 17.5, "price_currency": "eur"}
        invoice = (await opened.client.post("/v1/invoice", json=order)).json()
        await opened.control("config", ipn_attempts=7)
        await opened.control("rates", ltc="90")
        await opened.control("currencies/eos", enabled=True)
        await opened.control("advance", seconds=100)
        opened.receiver.answers = [500]
        await opened.control(f"payments/{number}/pay")
        before = await opened.read(number)
        assert before["payment_status"] == "confirming"
    async with bench(config) as opened:
        assert await opened.read(number) == before
        state = (await opened.client.get("/_control/state")).json()
        assert (state["now"], state["ipns_pending"]) == ("2026-01-15T12:01:40.456Z", 1)
        assert (await opened.client.get("/_control/config")).json()["ipn_attempts"] == 7
        under = {"iid": invoice["id"], "pay_currency": "eos"}
        made = await opened.client.post("/v1/invoice-payment", json=under)
        assert made.status_code == 201
        assert int(made.json()["payment_id"]) > int(number)
        await opened.control("advance", seconds=600)
        assert (await opened.read(number))["payment_status"] == "finished"
        told = [callback.status for callback in opened.receiver.got]
        assert sorted(told) == ["confirmed", "confirming", "finished", "sending"]


def test_every_line_of_what_the_stand_in_must_do_has_a_test() -> None:
    """Lines 1 to 14 are named by an `emulator` mark in the files beside this one."""
    lines = set()
    for path in Path(__file__).parent.glob("test_nowpayments_sandbox*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.emulator":
                provider, line = (ast.literal_eval(argument) for argument in node.args)
                assert provider == "nowpayments"
                lines.add(line)
    assert lines == set(range(1, 15))


def test_the_stand_in_shares_no_code_with_the_client_or_the_core() -> None:
    """It imports nothing of ours but itself."""
    import bitloot_adapters.sandbox.nowpayments as package

    allowed = "bitloot_adapters.sandbox.nowpayments"
    for path in Path(str(package.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            ours = [name for name in names if name.startswith("bitloot")]
            assert all(name.startswith(allowed) for name in ours), (path.name, ours)
