"""Whole requests as bytes, made before anything is measured."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from bench.shop_settings import IPN_SECRET

HOST: Final = b"Host: 127.0.0.1\r\n"


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A POST of JSON."""
    named = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    return f"POST {path} HTTP/1.1\r\n".encode() + HOST + _lines(named) + b"\r\n" + body


def get(path: str, headers: Mapping[str, str]) -> bytes:
    """A GET."""
    return f"GET {path} HTTP/1.1\r\n".encode() + HOST + _lines(headers) + b"\r\n"


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def client(number: int) -> str:
    """A network address of its own for each of sixteen million buyers."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def callbacks(first: int, count: int) -> Iterator[bytes]:
    """Signed callbacks of NOWPayments, no two alike, compact and with sorted keys as it sends."""
    for number in range(first, first + count):
        body = msgspec.json.encode(
            {
                "payment_id": 5_000_000_000 + number,
                "parent_payment_id": None,
                "invoice_id": None,
                "payment_status": "finished",
                "pay_address": "ltc1q5vf3w8wx6v6z5pnw2xg7d0y5y0t6c5uq0h8lqk",
                "payin_extra_id": None,
                "price_amount": 9.99,
                "price_currency": "eur",
                "pay_amount": 0.1234567,
                "actually_paid": 0.1234567,
                "actually_paid_at_fiat": 0,
                "pay_currency": "ltc",
                "order_id": f"BL-BENCH{number:08}",
                "order_description": f"BL-BENCH{number:08}",
                "purchase_id": str(6_000_000_000 + number),
                "outcome_amount": 0.1228394,
                "outcome_currency": "ltc",
                "payment_extra_ids": None,
                "fee": {
                    "currency": "ltc",
                    "depositFee": 0.0000123,
                    "withdrawalFee": 0,
                    "serviceFee": 0.0006173,
                },
            },
            order="sorted",
        )
        signature = hmac.new(IPN_SECRET.encode(), body, hashlib.sha512).hexdigest()
        yield post("/v1/webhooks/nowpayments", body, {"x-nowpayments-sig": signature})
