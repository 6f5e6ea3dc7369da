"""The control door: what a test, a drill or the demo does to the stand-in.

All bodies and answers are JSON; amounts are text or numbers; empty bodies mean defaults.
A refused call answers like the API: `{"status": false, "statusCode", "code", "message"}`.

Payments. Each answers `{"payment": <as GET /v1/payment/{id}>, "deliveries": [<callback>]}`:

- `POST /_control/payments/{id}/pay` `{"fraction": "1", "amount": "0.2", "steps":
  ["confirming", "confirmed", "sending", "finished"], …travel}`: the first deposit, also a
  late one on an expired payment (no callbacks then). The last step follows from the amount
  unless `steps` is given. 409 when something was paid already.
- `POST /_control/payments/{id}/status` `{"status": "any text", "ipn": true,
  "actually_paid": "0.1", …travel}`: force one status; an explicit or default `ipn` sends the
  callback even of an expired payment.
- `POST /_control/payments/{id}/expire` `{"ipn": true}`
- `POST /_control/payments/{id}/redeposit` `{"amount" | "fraction", "result": "finished" |
  "partially_paid", "order_id": true, "steps", …travel}`: a child; `order_id: false` leaves
  the child without the order's id. Answers with the child.
- `POST /_control/payments/{id}/wrong-asset` `{"currency": "usdterc20", "amount" | "fraction",
  "result": "wrong_asset_confirmed" | "partially_paid" | "finished", "on": "child" | "parent",
  …travel}`
- `POST /_control/payments/{id}/refund` `{…travel}`
- `POST /_control/payments/{id}/resend-ipn`: the last callback again, byte for byte.

`travel` is how callbacks travel: `{"ipn": "normal" | "duplicate" | "burst" | "reversed" |
"shuffled" | "lost" | "delayed", "mode": "modern" | "legacy", "copies": 2 (of `duplicate`, one
after the other, and of `burst`, all at once), "delay_seconds": 3600, "pause": seconds between
two steps}`.

The rest:

- `GET /_control/payments` `?order_id=`: every payment, whichever key made it.
- `GET /_control/ipns` `?payment_id=`: every callback with the statuses answered.
- `POST /_control/ipns/run`: send what is due. `POST /_control/advance` `{"seconds": 60}`: move
  time on and do, in order, all that falls due on the way.
- `GET` / `POST /_control/config` `{"ipn_attempts": 5, …}`: any field of
  `NowPaymentsSandboxConfig` but `state_dir`; secrets are not shown.
- `POST /_control/rates` `{"btc": "65000", "eur": "1.1"}` (USD per unit).
- `POST /_control/currencies/{ticker}` `{"enabled": false}`
- `POST /_control/faults` `{"op": "create_payment" | … | "*", "fault": "500_before" |
  "500_after" | "502_html" | "drop_before" | "drop_after" | "slow" | "slow_after" | "429" |
  "403_html" | "garbage", "times": 1, "seconds": 5}`; `DELETE` forgets them. `…_after`,
  `garbage` and `slow_after` do the work first.
- `GET /_control/state`: counters, time, waiting moves and callbacks.
- `POST /_control/reset`: forget everything but the sequence of ids.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.params import FromPath

from bitloot_adapters.sandbox.nowpayments import deposits
from bitloot_adapters.sandbox.nowpayments.api import ApiRequest, reply, world_of
from bitloot_adapters.sandbox.nowpayments.clock import iso
from bitloot_adapters.sandbox.nowpayments.config import SECRET_FIELDS
from bitloot_adapters.sandbox.nowpayments.errors import invalid_params, not_found
from bitloot_adapters.sandbox.nowpayments.gate import (
    FAULT_KINDS,
    OPERATIONS,
    Fault,
    FaultKind,
    Gate,
)
from bitloot_adapters.sandbox.nowpayments.js_json import Json
from bitloot_adapters.sandbox.nowpayments.outbox import Outbox
from bitloot_adapters.sandbox.nowpayments.records import Delivery, Payment
from bitloot_adapters.sandbox.nowpayments.request_fields import Fields
from bitloot_adapters.sandbox.nowpayments.transitions import apply_due, next_due
from bitloot_adapters.sandbox.nowpayments.wire import read_payment
from bitloot_adapters.sandbox.nowpayments.world import World

_SCENARIOS: Final[dict[str, Callable[[World, Payment, Fields], Payment]]] = {
    "pay": deposits.pay,
    "status": deposits.force_status,
    "expire": deposits.expire,
    "redeposit": deposits.redeposit,
    "wrong-asset": deposits.wrong_asset,
    "refund": deposits.refund,
}
_MOST_EVENTS: Final = 100_000
_LANE_WAIT: Final = 0.01


@post("/payments/{number:int}/{scenario:str}", status_code=200)
async def run_scenario(
    request: ApiRequest, number: FromPath[int], scenario: FromPath[str]
) -> Response[bytes]:
    world = world_of(request)
    payment = deposits.find(world, number)
    fields = Fields.parse(await request.body())
    if scenario == "resend-ipn":
        deposits.resend_callback(world, payment)
    elif scenario in _SCENARIOS:
        payment = _SCENARIOS[scenario](world, payment, fields)
    else:
        raise not_found("Scenario")
    await _send_unless_running(request, world)
    return reply(
        {
            "payment": _shown(world, deposits.find(world, payment.id)),
            "deliveries": _deliveries(world, payment.id),
        }
    )


@get("/payments")
async def payments(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    order = request.query_params.get("order_id")
    found = [
        _shown(world, payment)
        for payment in world.store.payments.values()
        if order is None or payment.order_id == order
    ]
    return reply({"payments": found})


@get("/ipns")
async def ipns(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    wanted = request.query_params.get("payment_id")
    number = None if wanted is None else Fields({"payment_id": wanted}).number_id("payment_id")
    return reply({"ipns": _deliveries(world, number)})


@post("/ipns/run", status_code=200)
async def run_ipns(request: ApiRequest) -> Response[bytes]:
    world_of(request)
    return reply({"tried": await _outbox(request).run_due()})


@post("/advance", status_code=200)
async def advance(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    seconds = Fields.parse(await request.body()).seconds("seconds", 0.0)
    tried = await _advance(world, _outbox(request), timedelta(seconds=seconds))
    return reply({"now": iso(world.clock.now()), "tried": tried})


@get("/config")
async def show_config(request: ApiRequest) -> Response[bytes]:
    return reply(_config(world_of(request)))


@post("/config", status_code=200)
async def change_config(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    changes = Fields.parse(await request.body()).values
    world.configure(
        {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in changes.items()
        }
    )
    return reply(_config(world))


@post("/rates", status_code=200)
async def change_rates(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    fields = Fields.parse(await request.body())
    for name in fields.values:
        rate = fields.exact(name)
        if not world.rates.knows(name.lower()) or not rate:
            raise invalid_params(f"{name} must be a known currency with a rate above zero")
        world.rates.overrides[name.lower()] = rate
    world.remember_rates()
    return reply({name: str(rate) for name, rate in world.rates.overrides.items()})


@post("/currencies/{ticker:str}", status_code=200)
async def switch_currency(request: ApiRequest, ticker: FromPath[str]) -> Response[bytes]:
    world = world_of(request)
    if ticker not in world.rates.coins:
        raise not_found("Currency")
    enabled = Fields.parse(await request.body()).flag("enabled", default=True)
    world.rates.switches[ticker] = enabled
    world.remember_rates()
    return reply({"ticker": ticker, "enabled": enabled})


@post("/faults", status_code=200)
async def inject_fault(request: ApiRequest) -> Response[bytes]:
    gate = _gate(request)
    fields = Fields.parse(await request.body())
    fault = Fault(
        op=fields.choice("op", OPERATIONS, "*"),
        kind=msgspec.convert(fields.choice("fault", FAULT_KINDS, "500_before"), FaultKind),
        times=fields.count("times", 1),
        seconds=fields.seconds("seconds", 5.0),
    )
    gate.inject(fault)
    return reply({"faults": _faults(gate)})


@delete("/faults", status_code=200)
async def forget_faults(request: ApiRequest) -> Response[bytes]:
    gate = _gate(request)
    gate.faults.clear()
    return reply({"faults": []})


@get("/state")
async def state(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    gate = _gate(request)
    due = next_due(world)
    return reply(
        {
            "now": iso(world.clock.now()),
            "payments": len(world.store.payments),
            "invoices": len(world.store.invoices),
            "moves_waiting": len(world.store.moves),
            "ipns": len(world.store.deliveries),
            "ipns_pending": len(world.store.pending),
            "next_due": None if due is None else iso(due),
            "calls": dict(gate.calls),
            "faults": _faults(gate),
        }
    )


@post("/reset", status_code=200)
async def reset(request: ApiRequest) -> Response[bytes]:
    world = world_of(request)
    world.reset()
    _gate(request).reset()
    return reply({"reset": True})


def control_router() -> Router:
    return Router(
        "/_control",
        route_handlers=[
            run_scenario,
            payments,
            ipns,
            run_ipns,
            advance,
            show_config,
            change_config,
            change_rates,
            switch_currency,
            inject_fault,
            forget_faults,
            state,
            reset,
        ],
    )


async def _advance(world: World, outbox: Outbox, span: timedelta) -> int:
    """Go from one due instant to the next until `span` has passed."""
    goal = world.clock.now() + span
    tried = 0
    for _ in range(_MOST_EVENTS):
        apply_due(world)
        sent = await outbox.run_due()
        tried += sent
        due = next_due(world)
        if due is None or due > goal:
            break
        if not sent and due <= world.clock.now():
            await asyncio.sleep(_LANE_WAIT)  # its lane is busy with a slow receiver
        world.advance_to(due)
    world.advance_to(goal)
    apply_due(world)
    return tried


async def _send_unless_running(request: ApiRequest, world: World) -> None:
    if not world.runner_active:
        await _outbox(request).run_due()


def _outbox(request: ApiRequest) -> Outbox:
    outbox: Outbox = request.app.state.outbox
    return outbox


def _gate(request: ApiRequest) -> Gate:
    gate: Gate = request.app.state.gate
    return gate


def _shown(world: World, payment: Payment) -> dict[str, Json]:
    return read_payment(payment, zero_when_finished=world.config.actually_paid_zero)


def _deliveries(world: World, payment_id: int | None) -> list[Json]:
    return [
        _delivery(delivery)
        for delivery in world.store.deliveries.values()
        if payment_id in {None, delivery.payment_id}
    ]


def _delivery(delivery: Delivery) -> dict[str, Json]:
    return {
        "id": delivery.id,
        "payment_id": delivery.payment_id,
        "payment_status": delivery.payment_status,
        "url": delivery.url,
        "mode": delivery.mode,
        "state": delivery.state,
        "reason": delivery.reason,
        "due_at": iso(delivery.due_at),
        "body": delivery.body,
        "signature": delivery.signature,
        "attempts": [
            {"at": iso(one.at), "status": one.status, "error": one.error}
            for one in delivery.attempts
        ],
    }


def _config(world: World) -> Json:
    values: dict[str, Json] = msgspec.to_builtins(world.config)
    return {name: value for name, value in values.items() if name not in SECRET_FIELDS}


def _faults(gate: Gate) -> list[Json]:
    return [
        {"op": one.op, "fault": one.kind, "times": one.times, "seconds": one.seconds}
        for one in gate.faults
    ]
