"""The NOWPayments stand-in: what payers do (lines 5 to 7 and 9 to 11), cases, hosted page."""

import json
import re
from decimal import Decimal

import httpx
import pytest

from bitloot_adapters.sandbox.nowpayments.bench import Bench, bench
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.gate import FAULT_KINDS
from bitloot_adapters.sandbox.nowpayments.js_json import Json

ORDER: dict[str, Json] = {"price_amount": 17.5, "price_currency": "eur", "pay_currency": "ltc"}


def told(opened: Bench) -> list[str]:
    return [callback.status for callback in opened.receiver.got]


def last_body(opened: Bench) -> dict[str, Json]:
    body: dict[str, Json] = json.loads(opened.receiver.got[-1].body)
    return body


def payment_of(answer: dict[str, Json]) -> dict[str, Json]:
    payment = answer["payment"]
    assert isinstance(payment, dict)
    return payment


async def paid(opened: Bench, number: str, **fields: Json) -> dict[str, Json]:
    return payment_of(await opened.control(f"payments/{number}/pay", **fields))


# --- 5. repeated deposits ---------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 5)
@pytest.mark.parametrize("default", ["finished", "partially_paid"])
async def test_a_further_deposit_becomes_a_child_payment(default: str) -> None:
    """Line 5: new id, parent id, `origin_type`, parent's ids, both account defaults."""
    async with bench() as opened:
        await opened.control("config", redeposit_result=default)
        number = await opened.create()
        await paid(opened, number)
        child = payment_of(await opened.control(f"payments/{number}/redeposit", amount="0.001"))
        assert child["payment_id"] != int(number)
        assert child["parent_payment_id"] == int(number)
        assert child["origin_type"] == "REPEATED"
        assert child["payment_status"] == default
        assert child["pay_amount"] == child["actually_paid"] == 0.001
        assert child["price_amount"] == 0.08
        assert child["order_id"] == "order-1"
        parent = await opened.read(number)
        assert parent["payment_extra_ids"] == [child["payment_id"]]
        assert parent["payment_status"] == "finished"
        assert await opened.read(str(child["payment_id"])) == child
        callback = last_body(opened)
        assert callback["payment_id"] == child["payment_id"]
        assert callback["parent_payment_id"] == int(number)
        assert "origin_type" not in callback


@pytest.mark.emulator("nowpayments", 5)
async def test_a_child_may_come_without_the_order_id_and_end_as_told() -> None:
    """Line 5: `order_id` on the child has been seen null; a result can be named."""
    async with bench() as opened:
        number = await opened.create()
        await paid(opened, number, fraction="0.5")
        path = f"payments/{number}/redeposit"
        child = payment_of(
            await opened.control(path, fraction="0.5", order_id=False, result="partially_paid")
        )
        assert (child["order_id"], child["payment_status"]) == (None, "partially_paid")
        second = payment_of(await opened.control(path))
        parent = await opened.read(number)
        assert parent["payment_extra_ids"] == [child["payment_id"], second["payment_id"]]
        refusal = await opened.client.post(f"/_control/payments/{number}/pay")
        assert (refusal.status_code, refusal.json()["code"]) == (409, "ALREADY_PAID")


# --- 6. wrong asset ---------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 6)
@pytest.mark.parametrize("result", ["wrong_asset_confirmed", "partially_paid", "finished"])
async def test_a_wrong_asset_is_left_to_hand_or_processed(result: str) -> None:
    """Line 6: manual (`wrong_asset_confirmed` or partial) and auto (`finished`)."""
    async with bench() as opened:
        number = await opened.create()
        child = payment_of(
            await opened.control(
                f"payments/{number}/wrong-asset", currency="usdterc20", amount="3", result=result
            )
        )
        assert child["payment_status"] == result
        assert child["parent_payment_id"] == int(number)
        assert (child["pay_currency"], child["actually_paid"]) == ("usdterc20", 3)
        assert (await opened.read(number))["payment_status"] == "waiting"
        assert told(opened)[-1] == result


@pytest.mark.emulator("nowpayments", 6)
async def test_a_wrong_asset_is_manual_by_default_and_can_hit_the_payment_itself() -> None:
    """Line 6: the default is manual; integrators saw the status on the payment itself too."""
    async with bench() as opened:
        number = await opened.create()
        child = payment_of(await opened.control(f"payments/{number}/wrong-asset"))
        assert child["payment_status"] == "wrong_asset_confirmed"
        hit = payment_of(await opened.control(f"payments/{number}/wrong-asset", on="parent"))
        assert (hit["payment_id"], hit["payment_status"]) == (int(number), "wrong_asset_confirmed")


# --- 7. expiry --------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 7)
@pytest.mark.parametrize("emit", [True, False])
async def test_a_late_deposit_changes_the_payment_without_a_callback(emit: bool) -> None:
    """Line 7: `expired` optionally; a late deposit changes GET without any callback."""
    async with bench(NowPaymentsSandboxConfig(emit_expired_ipn=emit)) as opened:
        number = await opened.create()
        await opened.control("advance", seconds=7 * 24 * 3600)
        assert (await opened.read(number))["payment_status"] == "expired"
        assert told(opened) == (["expired"] if emit else [])
        opened.receiver.got.clear()
        await paid(opened, number)
        read = await opened.read(number)
        assert (read["payment_status"], read["actually_paid"]) == ("finished", read["pay_amount"])
        await opened.control("advance", seconds=24 * 3600)
        assert told(opened) == []


@pytest.mark.emulator("nowpayments", 7)
async def test_a_late_deposit_is_valued_at_the_rate_of_the_day() -> None:
    """Line 7: re-quoted: what was enough in time is too little when the coin has fallen."""
    async with bench() as opened:
        number = await opened.create()
        asked = (await opened.read(number))["pay_amount"]
        await opened.control(f"payments/{number}/expire", ipn=False)
        await opened.control("advance", seconds=1300)
        await opened.control("rates", ltc="41")
        read = await paid(opened, number)
        assert read["payment_status"] == "partially_paid"
        assert read["actually_paid"] == asked


@pytest.mark.emulator("nowpayments", 7)
async def test_a_fixed_rate_may_end_with_its_quote_and_a_paid_payment_never_expires() -> None:
    """Line 7: the documented window of a fixed rate; the live one is the default."""
    async with bench(NowPaymentsSandboxConfig(fixed_rate_ends_with_quote=True)) as opened:
        fixed = await opened.create(is_fixed_rate=True)
        floating = await opened.create()
        done = await opened.create(is_fixed_rate=True)
        await paid(opened, done)
        await opened.control("advance", seconds=1200)
        statuses = [(await opened.read(one))["payment_status"] for one in (fixed, floating, done)]
        assert statuses == ["expired", "waiting", "finished"]


# --- 9. invoices ------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 9)
async def test_one_invoice_carries_several_payments_and_two_of_them_finish() -> None:
    """Line 9: several payments under one invoice; two of them `finished`."""
    async with bench() as opened:
        order = {"price_amount": 17.5, "price_currency": "eur", "order_id": "order-9"}
        hook = {"ipn_callback_url": "https://shop.example/ipn"}
        invoice = (await opened.client.post("/v1/invoice", json=order | hook)).json()
        numbers = []
        for coin in ("ltc", "btc", "xrp"):
            under = {"iid": invoice["id"], "pay_currency": coin}
            made = (await opened.client.post("/v1/invoice-payment", json=under)).json()
            assert (made["order_id"], made["pay_currency"]) == ("order-9", coin)
            assert "invoice_id" not in made
            numbers.append(made["payment_id"])
        assert len(set(numbers)) == 3
        for number in numbers[:2]:
            await paid(opened, number)
        reads = [await opened.read(number) for number in numbers]
        assert [read["payment_status"] for read in reads] == ["finished", "finished", "waiting"]
        assert {read["invoice_id"] for read in reads} == {int(invoice["id"])}
        assert {read["order_id"] for read in reads} == {"order-9"}
        assert last_body(opened)["invoice_id"] == int(invoice["id"])
        login = {"email": opened.config.account_email, "password": opened.config.account_password}
        token = (await opened.client.post("/v1/auth", json=login)).json()["token"]
        listed = await opened.client.get(
            f"/v1/payment/?invoiceId={invoice['id']}", headers={"authorization": f"Bearer {token}"}
        )
        assert listed.json()["total"] == 3


@pytest.mark.emulator("nowpayments", 9)
async def test_a_person_pays_at_the_hosted_page_with_plain_forms() -> None:
    """Line 9: the hosted page: choose a coin, press a result; the payer may start again."""
    async with bench() as opened:
        order = {
            "price_amount": 17.5,
            "price_currency": "EUR",
            "order_description": "<script>alert(1)</script>",
            "success_url": "https://shop.example/thanks?a=1&b=2",
        }
        invoice = (await opened.client.post("/v1/invoice", json=order)).json()
        page = invoice["invoice_url"]
        assert page == f"http://nowpayments.example/payment/?iid={invoice['id']}"
        opened.client.follow_redirects = True
        shown = await opened.client.get(page)
        assert shown.headers["content-type"].startswith("text/html")
        assert "<script" not in shown.text
        assert "17.5 EUR" in shown.text
        endings = {"full": "finished", "half": "partially_paid", "over": "finished"}
        for action, status in (endings | {"fail": "failed"}).items():
            form = {"iid": invoice["id"], "coin": "ltc"}
            shown = await opened.client.post("/payment/coin", data=form)
            number = re.findall(r'name="payment" value="(\d+)"', shown.text)[-1]
            act = {"iid": invoice["id"], "payment": number, "action": action}
            shown = await opened.client.post("/payment/act", data=act)
            assert f"Payment {number}: {status}" in shown.text
            read = await opened.read(number)
            assert (read["payment_status"], read["invoice_id"]) == (status, int(invoice["id"]))
        assert 'href="https://shop.example/thanks?a=1&amp;b=2"' in shown.text
        again = await opened.client.post("/payment/act", data=act)
        assert again.status_code == 409
        assert (await opened.client.get("/payment/?iid=5")).status_code == 404
        assert (await opened.client.post("/payment/coin", data={"iid": "x"})).status_code == 404


# --- 10. short but finished -------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 10)
async def test_a_covering_percentage_finishes_a_slightly_short_payment() -> None:
    """Line 10: `finished` with `actually_paid < pay_amount`."""
    async with bench(NowPaymentsSandboxConfig(covering_percent=Decimal(95))) as opened:
        short = await paid(opened, await opened.create(), fraction="0.96")
        assert short["payment_status"] == "finished"
        assert Decimal(str(short["actually_paid"])) < Decimal(str(short["pay_amount"]))
        shorter = await paid(opened, await opened.create(), fraction="0.94")
        assert shorter["payment_status"] == "partially_paid"


@pytest.mark.emulator("nowpayments", 10)
async def test_the_sandbox_mode_shows_nothing_paid_on_what_is_finished() -> None:
    """Line 10: `finished` with `actually_paid: 0` (sandbox)."""
    async with bench(NowPaymentsSandboxConfig(actually_paid_zero=True)) as opened:
        number = await opened.create()
        await paid(opened, number)
        bodies = [json.loads(callback.body) for callback in opened.receiver.got]
        assert [body["actually_paid"] > 0 for body in bodies] == [True, True, True, False]
        assert (await opened.read(number))["actually_paid"] == 0


@pytest.mark.emulator("nowpayments", 10)
@pytest.mark.parametrize(
    ("fraction", "status"), [("1", "finished"), ("0.5", "partially_paid"), ("1.2", "finished")]
)
async def test_the_outcome_follows_from_the_amount(fraction: str, status: str) -> None:
    """Line 10: amounts are exact, and the net reaches the merchant."""
    async with bench() as opened:
        read = await paid(opened, await opened.create(), fraction=fraction)
        assert read["payment_status"] == status
        asked, came = Decimal(str(read["pay_amount"])), Decimal(str(read["actually_paid"]))
        assert abs(came - asked * Decimal(fraction)) <= Decimal("1e-8")
        assert 0 < Decimal(str(read["outcome_amount"])) < came
        assert read["outcome_currency"] == "ltc"
        assert read["payin_hash"]
        assert last_body(opened)["actually_paid_at_fiat"] == 0


async def test_a_tiny_deposit_fails_where_the_account_says_so_and_money_can_go_back() -> None:
    """`failed` below the minimum; `refunded`; statuses nobody documented."""
    async with bench(NowPaymentsSandboxConfig(fail_below_minimum=True)) as opened:
        number = await opened.create()
        assert (await paid(opened, number, fraction="0.01"))["payment_status"] == "failed"
        await opened.control(f"payments/{number}/refund")
        await opened.control(f"payments/{number}/status", status="brand_new_status")
        await opened.control(f"payments/{number}/status", status="canceled", ipn=False)
        assert told(opened) == ["confirming", "failed", "refunded", "brand_new_status"]
        assert (await opened.read(number))["payment_status"] == "canceled"


# --- 11. lost replies and other faults --------------------------------------------------------


@pytest.mark.emulator("nowpayments", 11)
async def test_a_create_can_succeed_while_its_reply_is_lost() -> None:
    """Line 11: create that succeeds server-side but whose reply is lost."""
    async with bench() as opened:
        await opened.control("faults", op="create_payment", fault="drop_after")
        with pytest.raises(httpx.RemoteProtocolError):
            await opened.create(order_id="lost-1")
        ask = "/_control/payments?order_id=lost-1"
        (made,) = (await opened.client.get(ask)).json()["payments"]
        assert made["payment_status"] == "waiting"
        assert int(await opened.create(order_id="lost-1")) != made["payment_id"]
        assert len((await opened.client.get(ask)).json()["payments"]) == 2


@pytest.mark.emulator("nowpayments", 11)
@pytest.mark.parametrize("fault", FAULT_KINDS)
async def test_every_fault_happens_as_often_as_asked_and_says_whether_work_was_done(
    fault: str,
) -> None:
    """Line 11: replies lost, broken, late or refused, before or after the work."""
    async with bench() as opened:
        await opened.control("faults", op="create_payment", fault=fault, times=2, seconds=0)
        for _ in range(2):
            if fault.startswith("drop"):
                with pytest.raises(httpx.RemoteProtocolError):
                    await opened.client.post("/v1/payment", json=ORDER)
                continue
            answer = await opened.client.post("/v1/payment", json=ORDER)
            if fault == "garbage":
                assert answer.status_code == 200
                with pytest.raises(ValueError, match=r"."):
                    answer.json()
            elif fault.startswith("slow"):
                assert answer.status_code == 201
            else:
                assert answer.status_code == int(fault[:3])
                html = fault not in {"500_before", "500_after"}
                assert answer.headers["content-type"].startswith("text/html") is html
        state = (await opened.client.get("/_control/state")).json()
        worked = fault in {"500_after", "drop_after", "slow", "slow_after", "garbage"}
        assert (state["payments"], state["faults"]) == (2 if worked else 0, [])
        assert (await opened.client.post("/v1/payment", json=ORDER)).status_code == 201


# --- cases, autopay, the door itself ----------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("success", "finished"),
        ("common", "finished"),
        ("partially_paid", "partially_paid"),
        ("failed", "failed"),
    ],
)
async def test_a_sandbox_case_scripts_the_outcome(case: str, status: str) -> None:
    """The `case` field of the vendor's sandbox."""
    async with bench(NowPaymentsSandboxConfig(case_seconds=5, step_seconds=2)) as opened:
        number = await opened.create(case=case)
        assert (await opened.read(number))["payment_status"] == "waiting"
        await opened.control("advance", seconds=60)
        assert (await opened.read(number))["payment_status"] == status
        assert told(opened)[0] == "confirming"
        assert told(opened)[-1] == status


async def test_autopay_pays_by_itself_unless_somebody_was_faster() -> None:
    async with bench(NowPaymentsSandboxConfig(autopay_after=3)) as opened:
        untouched, touched = await opened.create(), await opened.create()
        await paid(opened, touched, fraction="0.5")
        await opened.control("advance", seconds=3)
        assert (await opened.read(untouched))["payment_status"] == "finished"
        assert (await opened.read(touched))["payment_status"] == "partially_paid"


async def test_the_control_door_refuses_what_it_does_not_know() -> None:
    async with bench() as opened:
        number = await opened.create()
        for path, fields in (
            ("payments/5/pay", {}),
            (f"payments/{number}/vanish", {}),
            (f"payments/{number}/pay", {"fraction": "lots"}),
            (f"payments/{number}/pay", {"ipn": "sideways"}),
            (f"payments/{number}/pay", {"steps": []}),
            (f"payments/{number}/pay", {"copies": 1000}),
            (f"payments/{number}/resend-ipn", {}),
            ("config", {"colour": "red"}),
            ("config", {"state_dir": "/tmp"}),
            ("config", {"ipn_attempts": "many"}),
            ("rates", {"btc": 0}),
            ("rates", {"zzz": 1}),
            ("currencies/zzz", {}),
            ("faults", {"op": "everything"}),
            ("faults", {"fault": "meteor"}),
            ("advance", {"seconds": "NaN"}),
            ("advance", {"seconds": 1e17}),
        ):
            answer = await opened.client.post(f"/_control/{path}", json=fields)
            assert 400 <= answer.status_code < 500, path
            assert answer.json()["statusCode"] == answer.status_code
        shown = (await opened.client.get("/_control/config")).json()
        assert not set(shown) & {"api_keys", "ipn_secret", "account_password", "jwt_secret"}
        assert opened.config.api_keys[0] not in repr(opened.config)


async def test_coins_can_be_switched_off_and_a_reset_forgets_everything_but_the_ids() -> None:
    async with bench() as opened:
        number = await opened.create()
        await opened.control("config", ipn_attempts=9)
        await opened.control("currencies/ltc", enabled=False)
        refusal = await opened.client.post("/v1/payment", json=ORDER)
        assert refusal.json()["code"] == "CURRENCY_UNAVAILABLE"
        tickers = (await opened.client.get("/v1/currencies")).json()["currencies"]
        assert "ltc" not in tickers
        await opened.control("reset")
        assert (await opened.client.get(f"/v1/payment/{number}")).status_code == 404
        assert (await opened.client.get("/_control/config")).json()["ipn_attempts"] == 3
        assert int(await opened.create()) > int(number)
