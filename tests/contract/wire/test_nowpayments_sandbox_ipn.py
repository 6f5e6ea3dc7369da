"""The NOWPayments stand-in: signatures and the travel of callbacks (lines 3 and 4)."""

import hashlib
import hmac
import json

import httpx
import pytest

from bitloot_adapters.sandbox.nowpayments.bench import Bench, Callback, bench
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.js_json import canonical, js_number
from bitloot_adapters.sandbox.nowpayments.outbox import LANES_AT_ONCE

CHAIN = ["confirming", "confirmed", "sending", "finished"]
SECRET = "nowpayments-sandbox-ipn-secret"
HOSTILE = 'Ключ & "Spiel" <ü> a/b\\c \u2028 \x7f \t 🎮'


def mac(text: str | bytes, secret: str = SECRET) -> str:
    octets = text.encode() if isinstance(text, str) else text
    return hmac.new(secret.encode(), octets, hashlib.sha512).hexdigest()


def signature(callback: Callback) -> str:
    return callback.headers["x-nowpayments-sig"]


def told(opened: Bench) -> list[str]:
    return [callback.status for callback in opened.receiver.got]


async def log(opened: Bench) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = (await opened.client.get("/_control/ipns")).json()["ipns"]
    return entries


# --- 3. signatures ----------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 3)
async def test_a_modern_callback_is_sorted_compact_and_signed_over_its_raw_bytes() -> None:
    """Line 3: modern mode, raw == canonical; tiny fees; non-ASCII and slashes unescaped."""
    async with bench() as opened:
        number = await opened.create(price_amount=13, order_description=HOSTILE)
        await opened.control(f"payments/{number}/pay", amount="0.2")
        for callback in opened.receiver.got:
            assert signature(callback) == mac(callback.body)
            assert callback.headers["content-type"] == "application/json"
        text = opened.receiver.got[-1].body.decode()
        assert text == canonical(text)
        assert ": " not in text.replace(json.dumps(HOSTILE, ensure_ascii=False), "")
        body = json.loads(text)
        assert list(body) == sorted(body)
        assert body["order_description"] == HOSTILE
        assert "Ключ" in text
        assert "a/b" in text
        assert "🎮" in text
        assert '"price_amount":13,' in text
        assert '"depositFee":0.000083,' in text
        assert '"withdrawalFee":5e-7}' in text
        assert isinstance(body["updated_at"], int)


@pytest.mark.emulator("nowpayments", 3)
async def test_a_legacy_callback_is_signed_over_what_javascript_would_write() -> None:
    """Line 3: legacy mode: unsorted, whitespace, no `fee`, `13.0`; raw differs."""
    async with bench() as opened:
        number = await opened.create(
            price_amount=13, order_id="o/1", order_description="Ключ/ü", pay_amount=0.2
        )
        await opened.control(
            f"payments/{number}/pay", amount="0.00008", steps=["confirming"], mode="legacy"
        )
        callback = opened.receiver.got[0]
        text = callback.body.decode()
        body = json.loads(text)
        assert list(body) != sorted(body)
        assert '"price_amount": 13.0, ' in text
        assert '"actually_paid": 0.00008, ' in text
        assert "fee" not in body
        assert body["updated_at"] == "2026-01-15T12:00:00.457Z"
        assert signature(callback) != mac(callback.body)
        written_by_hand = (
            '{"actually_paid":0.00008,"actually_paid_at_fiat":0,'
            '"created_at":"2026-01-15T12:00:00.456Z","invoice_id":null,'
            '"order_description":"Ключ/ü","order_id":"o/1","outcome_amount":null,'
            '"outcome_currency":"ltc","parent_payment_id":null,'
            f'"pay_address":"{body["pay_address"]}","pay_amount":0.2,"pay_currency":"ltc",'
            f'"payin_extra_id":null,"payment_extra_ids":null,"payment_id":{number},'
            '"payment_status":"confirming","price_amount":13,"price_currency":"eur",'
            f'"purchase_id":"{body["purchase_id"]}","updated_at":"2026-01-15T12:00:00.457Z"}}'
        )
        assert signature(callback) == mac(written_by_hand)


@pytest.mark.emulator("nowpayments", 3)
async def test_the_fee_of_a_real_amount_has_the_digits_of_a_double_product() -> None:
    """Line 3: fee values below 1e-4 and 1e-6, and some with 17 digits."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay", amount="0.20881408")
        fee = json.loads(opened.receiver.got[-1].body)["fee"]
        assert fee["serviceFee"] == 0.20881408 * 0.005
        assert repr(fee["serviceFee"]) == "0.0010440704000000002"
        assert fee["depositFee"] < 1e-4
        assert fee["withdrawalFee"] < 1e-6


@pytest.mark.emulator("nowpayments", 3)
async def test_arrays_are_signed_in_either_form() -> None:
    """Line 3: `payment_extra_ids` as an array, signed as an array or as an index object."""
    for form, opening in (("array", "["), ("index_object", '{"0":')):
        config = NowPaymentsSandboxConfig(
            ipn_child_ids=True, ipn_array_form="array" if form == "array" else "index_object"
        )
        async with bench(config) as opened:
            number = await opened.create()
            await opened.control(f"payments/{number}/pay")
            child = (await opened.control(f"payments/{number}/redeposit"))["payment"]
            assert isinstance(child, dict)
            await opened.control(f"payments/{number}/status", status="finished")
            callback = opened.receiver.got[-1]
            text = callback.body.decode()
            extra = f"[{child['payment_id']}]"
            assert f'"payment_extra_ids":{extra}' in text
            closing = "]" if form == "array" else "}"
            signed = text.replace(extra, f"{opening}{child['payment_id']}{closing}")
            assert signature(callback) == mac(signed)


@pytest.mark.emulator("nowpayments", 3)
async def test_the_secret_is_trimmed_and_can_be_rotated_at_once() -> None:
    """Line 3: the key of the signature is the trimmed secret of the moment."""
    async with bench(NowPaymentsSandboxConfig(ipn_secret="  spaced \n")) as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/status", status="confirming")
        await opened.control("config", ipn_secret="rotated")
        await opened.control(f"payments/{number}/status", status="sending")
        first, second = opened.receiver.got
        assert signature(first) == mac(first.body, "spaced")
        assert signature(second) == mac(second.body, "rotated")


@pytest.mark.emulator("nowpayments", 3)
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("0.000083", "0.000083"),
        ("0.000001", "0.000001"),
        ("0.0000005", "5e-7"),
        ("1.5e-7", "1.5e-7"),
        ("13.0", "13"),
        ("2.50", "2.5"),
        ("1e16", "10000000000000000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.25e22", "1.25e+22"),
        ("9007199254740993", "9007199254740992"),
        ("-0.0", "0"),
        ("-17.5", "-17.5"),
        ("123456.789", "123456.789"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(text: str, written: str) -> None:
    """Line 3: the JS number rule."""
    assert js_number(float(text)) == written


@pytest.mark.emulator("nowpayments", 3)
def test_strings_and_keys_are_written_as_javascript_writes_them() -> None:
    """Line 3: raw UTF-8, short escapes, lone surrogates, integer-like keys first."""
    text = '{"b": "\\u00fc\\/\\u2028", "10": 1, "9": 2, "a": "\\u0001\\ud800", "c": "\\n"}'
    expected = '{"9":2,"10":1,"a":"\\u0001\\ud800","b":"ü/\u2028","c":"\\n"}'
    assert canonical(text) == expected


# --- 4. travel --------------------------------------------------------------------------------


@pytest.mark.emulator("nowpayments", 4)
@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("normal", CHAIN),
        ("duplicate", [status for status in CHAIN for _ in range(2)]),
        ("reversed", CHAIN[::-1]),
        ("lost", []),
    ],
)
async def test_callbacks_travel_as_asked(order: str, expected: list[str]) -> None:
    """Line 4: in order, twice, reversed, lost; the payment itself is finished in each case."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay", ipn=order)
        assert told(opened) == expected
        assert (await opened.read(number))["payment_status"] == "finished"
        states = {entry["state"] for entry in await log(opened)}
        assert states == ({"delivered"} if expected else {"lost"})


@pytest.mark.emulator("nowpayments", 4)
async def test_shuffled_callbacks_are_out_of_order_in_a_repeatable_way() -> None:
    """Line 4: out of order."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay", ipn="shuffled")
        assert told(opened) != CHAIN
        assert sorted(told(opened)) == sorted(CHAIN)


@pytest.mark.emulator("nowpayments", 4)
async def test_delayed_callbacks_come_when_their_time_has_come() -> None:
    """Line 4: delayed."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay", ipn="delayed", delay_seconds=86400)
        await opened.control("advance", seconds=86399)
        assert told(opened) == []
        await opened.control("advance", seconds=1)
        assert told(opened) == CHAIN


@pytest.mark.emulator("nowpayments", 4)
async def test_a_burst_sends_every_copy_at_the_same_time() -> None:
    """Line 4: duplicates at once, byte for byte the same, without an event id."""
    async with bench() as opened:
        number = await opened.create()
        copies = LANES_AT_ONCE - 14
        await opened.control(
            f"payments/{number}/pay", ipn="burst", copies=copies, steps=["finished"]
        )
        assert len(opened.receiver.got) == copies
        assert len({callback.body for callback in opened.receiver.got}) == 1
        body = json.loads(opened.receiver.got[0].body)
        assert not {"id", "event_id", "ipn_id"} & set(body)
        headers = {name for name in opened.receiver.got[0].headers if name.startswith("x-")}
        assert headers == {"x-nowpayments-sig"}


@pytest.mark.emulator("nowpayments", 4)
async def test_a_refused_callback_is_retried_and_then_given_up() -> None:
    """Line 4: N attempts, T seconds apart, on any answer but 2xx."""
    async with bench() as opened:
        opened.receiver.answers = [500, 302, httpx.ConnectError("refused")]
        number = await opened.create()
        await opened.control(f"payments/{number}/status", status="finished")
        assert len(opened.receiver.got) == 1
        await opened.control("advance", seconds=59)
        assert len(opened.receiver.got) == 1
        await opened.control("advance", seconds=600)
        assert len(opened.receiver.got) == 3
        (entry,) = await log(opened)
        assert entry["state"] == "gave_up"
        assert entry["attempts"] == [
            {"at": "2026-01-15T12:00:00.456Z", "status": 500, "error": None},
            {"at": "2026-01-15T12:01:00.456Z", "status": 302, "error": None},
            {"at": "2026-01-15T12:02:00.456Z", "status": None, "error": "ConnectError"},
        ]
        await opened.control(f"payments/{number}/resend-ipn")
        assert opened.receiver.got[-1].body == opened.receiver.got[0].body
        assert len(opened.receiver.got) == 4


@pytest.mark.emulator("nowpayments", 4)
async def test_an_answer_after_the_deadline_counts_as_none() -> None:
    """Line 4: retry on an answer later than the deadline (3 s by default)."""
    assert NowPaymentsSandboxConfig().ipn_deadline_seconds == 3
    config = NowPaymentsSandboxConfig(ipn_deadline_seconds=0.05, ipn_attempts=2)
    async with bench(config) as opened:
        opened.receiver.pauses = [5.0]
        number = await opened.create()
        await opened.control(f"payments/{number}/status", status="finished")
        await opened.control("advance", seconds=60)
        (entry,) = await log(opened)
        assert entry["state"] == "delivered"
        assert entry["attempts"] == [
            {"at": "2026-01-15T12:00:00.456Z", "status": None, "error": "no answer in time"},
            {"at": "2026-01-15T12:01:00.456Z", "status": 200, "error": None},
        ]


@pytest.mark.emulator("nowpayments", 4)
async def test_nothing_is_sent_while_the_account_has_no_secret_or_drops_callbacks() -> None:
    """Line 4: lost as a whole: `drop_ipns`; and no callback without a secret."""
    async with bench(NowPaymentsSandboxConfig(ipn_secret=None)) as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay")
        assert told(opened) == []
        assert {entry["state"] for entry in await log(opened)} == {"suppressed"}
    async with bench() as opened:
        number = await opened.create()
        await opened.control("config", drop_ipns=True)
        await opened.control(f"payments/{number}/pay")
        assert told(opened) == []
        assert (await opened.read(number))["payment_status"] == "finished"


@pytest.mark.emulator("nowpayments", 4)
async def test_steps_with_a_pause_are_told_one_by_one() -> None:
    """Line 4: with a pause, each callback leaves at its own step."""
    async with bench() as opened:
        number = await opened.create()
        await opened.control(f"payments/{number}/pay", pause=30)
        for count in range(1, 5):
            assert told(opened) == CHAIN[:count]
            assert (await opened.read(number))["payment_status"] == CHAIN[count - 1]
            await opened.control("advance", seconds=30)
