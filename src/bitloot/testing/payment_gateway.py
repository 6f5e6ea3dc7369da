"""The suite of payment gateways."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Final

import pytest

from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import (
    Forged,
    Malformed,
    NewInvoice,
    NewPayment,
    OpenedPayment,
    VerifiedPayment,
)
from bitloot.testing.contract import Contract, needs
from bitloot.testing.provider_rigs import Delivery, GatewayRig

PRICE: Final = Decimal("25.00")
NUMBER: Final = "BL7K2M9QXA"
WHOLE: Final = Decimal(1)
HALF: Final = Decimal("0.5")
# More digits than a float can hold.
EXACT: Final = "1234567.123456789012345678"


def request(rig: GatewayRig, price: Decimal = PRICE, asset: str | None = None) -> NewPayment:
    """A payment to open."""
    return NewPayment(order_number=NUMBER, price=price, asset=asset or rig.asset)


async def opened(rig: GatewayRig) -> OpenedPayment:
    """An open payment."""
    return await rig.gateway.create_payment(request(rig))


async def verified(rig: GatewayRig, delivery: Delivery) -> VerifiedPayment:
    """The reading of a good callback."""
    reading = rig.gateway.read_webhook(delivery.headers, delivery.body)
    assert isinstance(reading, VerifiedPayment), reading
    return reading


def one_word_changed(body: bytes) -> Iterator[bytes]:
    """The body again and again, each time with one other word or number in it."""
    words = list(re.finditer(rb"[A-Za-z0-9]+", body))
    assert words, "the callback says nothing"
    for word in words:
        first, rest = word[0][:1], word[0][1:]
        other = b"8" if first == b"9" else bytes([first[0] + 1]) if first.isdigit() else b"q"
        changed = other if other != first else b"k"
        yield body[: word.start()] + changed + rest + body[word.end() :]


class PaymentGatewayContract(Contract):
    """Fixture `rig`: a `GatewayRig`. Levers that may be missing: `memo`, `hosted_page`,
    `pay_invoice`, `redeposit`, `pass_time`.
    """

    # --- opening -------------------------------------------------------------------------

    async def test_an_opened_payment_says_where_and_how_much_to_pay(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        assert payment.status == "waiting"
        assert payment.pay_address
        assert payment.pay_currency == rig.asset == rig.asset.lower()
        assert isinstance(payment.pay_amount, Decimal)
        assert payment.pay_amount > 0
        assert payment.valid_until is None or payment.valid_until.tzinfo is not None

    async def test_ids_are_texts_that_the_gateway_knows_again(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        assert isinstance(payment.gateway_payment_id, str)
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert report.gateway_payment_id == payment.gateway_payment_id
        assert report.gateway == rig.gateway.name
        assert report.order_number == NUMBER

    async def test_a_payment_is_read_back_with_the_same_exact_amounts(
        self, rig: GatewayRig
    ) -> None:
        price = Decimal("25.37")
        payment = await rig.gateway.create_payment(request(rig, price))
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert (report.pay_amount, report.price_amount) == (payment.pay_amount, price)
        assert (report.price_currency, report.pay_currency) == ("eur", rig.asset)
        assert report.pay_address == payment.pay_address
        assert not report.actually_paid

    async def test_two_calls_open_two_payments(self, rig: GatewayRig) -> None:
        first, second = await opened(rig), await opened(rig)
        assert first.gateway_payment_id != second.gateway_payment_id
        assert await rig.opened(NUMBER) == 2

    @needs("memo")
    async def test_a_memo_is_passed_on_where_the_asset_needs_one(self, rig: GatewayRig) -> None:
        with_memo = await rig.gateway.create_payment(request(rig, asset=rig.memo_asset))
        assert with_memo.payin_extra_id
        assert (await opened(rig)).payin_extra_id is None

    async def test_too_small_an_amount_is_refused_as_below_minimum(self, rig: GatewayRig) -> None:
        with pytest.raises(Rejected) as refused:
            await rig.gateway.create_payment(request(rig, Decimal("0.01")))
        assert refused.value.reason == "below_minimum"
        assert await rig.opened(NUMBER) == 0

    async def test_an_unknown_asset_is_refused(self, rig: GatewayRig) -> None:
        with pytest.raises(Rejected) as refused:
            await rig.gateway.create_payment(request(rig, asset="nosuchcoin"))
        assert refused.value.reason in {"asset_unavailable", "invalid"}
        assert await rig.opened(NUMBER) == 0

    async def test_a_lost_answer_is_an_unknown_outcome_and_never_repeated(
        self, rig: GatewayRig
    ) -> None:
        await rig.lose_next_reply()
        with pytest.raises(OutcomeUnknown) as unknown:
            await rig.gateway.create_payment(request(rig))
        assert unknown.value.key == NUMBER
        assert await rig.opened(NUMBER) == 1

    @needs("hosted_page")
    async def test_a_lost_answer_to_an_invoice_is_an_unknown_outcome_too(
        self, rig: GatewayRig
    ) -> None:
        await rig.lose_next_reply()
        with pytest.raises(OutcomeUnknown):
            await rig.gateway.create_invoice(NewInvoice(order_number=NUMBER, price=PRICE))
        assert await rig.opened(NUMBER) == 1

    async def test_nothing_is_opened_while_the_gateway_is_down(self, rig: GatewayRig) -> None:
        await rig.go_down()
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await rig.gateway.create_payment(request(rig))
        await rig.come_back()
        assert await rig.opened(NUMBER) == 0
        assert (await opened(rig)).status == "waiting"

    # --- reading -------------------------------------------------------------------------

    async def test_reads_are_unavailable_while_the_gateway_is_down(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.go_down()
        for reading in (
            rig.gateway.payment(payment.gateway_payment_id),
            rig.gateway.assets(),
            rig.gateway.asset_quote(PRICE, rig.asset),
            rig.gateway.check(),
        ):
            with pytest.raises(Unavailable) as down:
                await reading
            assert down.value.provider == rig.gateway.name
        await rig.come_back()
        await rig.gateway.check()

    async def test_bad_credentials_are_named(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.spoil_credentials()
        for call in (
            rig.gateway.create_payment(request(rig)),
            rig.gateway.payment(payment.gateway_payment_id),
            rig.gateway.check(),
        ):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "credentials"
        assert await rig.opened(NUMBER) == 1

    @pytest.mark.parametrize("unknown", ["404404404", "no/such", "../status", ""])
    async def test_an_unknown_payment_is_not_found(self, rig: GatewayRig, unknown: str) -> None:
        with pytest.raises(Rejected) as refused:
            await rig.gateway.payment(unknown)
        assert refused.value.reason == "not_found"

    async def test_a_paid_payment_is_finished_with_the_exact_amount(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.pay(payment.gateway_payment_id, WHOLE)
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert (report.status, report.actually_paid) == ("finished", payment.pay_amount)

    async def test_half_of_the_amount_is_a_partial_payment(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.pay(payment.gateway_payment_id, HALF)
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert report.status == "partially_paid"
        assert report.actually_paid == payment.pay_amount * HALF

    async def test_more_than_the_amount_is_told_exactly(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.pay(payment.gateway_payment_id, Decimal("1.5"))
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert report.status == "finished"
        assert report.actually_paid == payment.pay_amount * Decimal("1.5")

    @pytest.mark.parametrize("status", ["confirming", "failed", "refunded", "brand_new_word"])
    async def test_a_status_is_told_in_the_gateway_s_own_words(
        self, rig: GatewayRig, status: str
    ) -> None:
        payment = await opened(rig)
        await rig.set_status(payment.gateway_payment_id, status)
        assert (await rig.gateway.payment(payment.gateway_payment_id)).status == status

    @needs("pass_time")
    async def test_a_payment_that_nobody_pays_expires(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.pass_time(timedelta(days=8))
        report = await rig.gateway.payment(payment.gateway_payment_id)
        assert report.status == "expired"

    @needs("redeposit")
    async def test_a_further_deposit_is_a_payment_of_its_own_with_a_parent(
        self, rig: GatewayRig
    ) -> None:
        payment = await opened(rig)
        await rig.pay(payment.gateway_payment_id, WHOLE)
        await rig.redeposit(payment.gateway_payment_id, HALF)
        parent = await rig.gateway.payment(payment.gateway_payment_id)
        assert parent.actually_paid == payment.pay_amount
        (child_id,) = parent.child_payment_ids
        child = await rig.gateway.payment(child_id)
        assert child.parent_payment_id == payment.gateway_payment_id
        assert child.gateway_payment_id != payment.gateway_payment_id

    # --- hosted page ---------------------------------------------------------------------

    @needs("hosted_page")
    async def test_a_hosted_page_has_an_id_and_an_address(self, rig: GatewayRig) -> None:
        assert rig.gateway.capabilities.hosted_page
        request = NewInvoice(
            order_number=NUMBER, price=PRICE, return_url="https://shop.example/orders/1"
        )
        invoice = await rig.gateway.create_invoice(request)
        assert isinstance(invoice.gateway_invoice_id, str)
        assert invoice.url.startswith("http")
        assert await rig.gateway.payments_of_invoice(invoice.gateway_invoice_id) in ([], ())

    @needs("hosted_page", "pay_invoice")
    async def test_payments_made_on_a_hosted_page_are_listed(self, rig: GatewayRig) -> None:
        invoice = await rig.gateway.create_invoice(NewInvoice(order_number=NUMBER, price=PRICE))
        await rig.pay_invoice(invoice.gateway_invoice_id, rig.asset)
        (report,) = await rig.gateway.payments_of_invoice(invoice.gateway_invoice_id)
        assert report.gateway_invoice_id == invoice.gateway_invoice_id
        assert (report.status, report.pay_currency) == ("finished", rig.asset)

    # --- assets, quotes ------------------------------------------------------------------

    async def test_assets_are_listed_in_lower_case(self, rig: GatewayRig) -> None:
        assets = {asset.ticker: asset for asset in await rig.gateway.assets()}
        assert rig.asset in assets
        assert all(ticker == ticker.lower() for ticker in assets)
        assert all(0 <= asset.precision <= 18 for asset in assets.values())

    async def test_an_estimate_and_a_minimum_are_exact_amounts(self, rig: GatewayRig) -> None:
        quote = await rig.gateway.asset_quote(PRICE, rig.asset)
        assert quote.asset == rig.asset
        assert isinstance(quote.amount, Decimal)
        assert isinstance(quote.minimum, Decimal)
        assert quote.amount > quote.minimum > 0

    async def test_what_an_estimate_came_to_is_worth_about_as_much(self, rig: GatewayRig) -> None:
        quote = await rig.gateway.asset_quote(PRICE, rig.asset)
        worth = await rig.gateway.worth(quote.amount, rig.asset)
        assert isinstance(worth, Decimal)
        assert abs(worth - PRICE) < PRICE / 20

    async def test_a_quote_that_still_stands_is_not_changed(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        refreshed = await rig.gateway.refresh_quote(payment.gateway_payment_id)
        assert refreshed.pay_amount == payment.pay_amount

    # --- callbacks -----------------------------------------------------------------------

    async def test_a_signed_callback_is_read_like_the_payment_itself(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        await rig.pay(payment.gateway_payment_id, WHOLE)
        reading = await verified(rig, await rig.webhook(payment.gateway_payment_id))
        report = reading.report
        assert report.gateway_payment_id == payment.gateway_payment_id
        assert (report.status, report.order_number) == ("finished", NUMBER)
        assert (report.pay_amount, report.actually_paid) == (payment.pay_amount,) * 2
        assert (report.pay_currency, report.price_currency) == (rig.asset, "eur")

    async def test_the_same_callback_has_the_same_key_and_another_has_another(
        self, rig: GatewayRig
    ) -> None:
        payment = await opened(rig)
        first = await rig.webhook(payment.gateway_payment_id)
        await rig.pay(payment.gateway_payment_id, WHOLE)
        second = await rig.webhook(payment.gateway_payment_id)
        keys = [(await verified(rig, one)).dedupe_key for one in (first, first, second)]
        assert keys[0] == keys[1] != keys[2]

    async def test_a_callback_without_a_good_signature_is_forged(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        good = await rig.webhook(payment.gateway_payment_id)
        read = rig.gateway.read_webhook
        assert isinstance(read({}, good.body), Forged)
        changed = {name: value[::-1] + "0" for name, value in good.headers.items()}
        assert isinstance(read(changed, good.body), Forged)
        emptied = dict.fromkeys(good.headers, "")
        assert isinstance(read(emptied, good.body), Forged)
        foreign = dict.fromkeys(good.headers, "é" * 64)
        assert isinstance(read(foreign, good.body), Forged)

    async def test_a_changed_body_is_forged(self, rig: GatewayRig) -> None:
        payment = await opened(rig)
        good = await rig.webhook(payment.gateway_payment_id)
        for spoiled in one_word_changed(good.body):
            assert isinstance(rig.gateway.read_webhook(good.headers, spoiled), Forged), spoiled

    @pytest.mark.parametrize(
        "body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b"{}", b'{"a":' * 2000]
    )
    async def test_a_signed_body_that_is_no_callback_is_never_a_payment(
        self, rig: GatewayRig, body: bytes
    ) -> None:
        signed = await rig.sign(body)
        reading = rig.gateway.read_webhook(signed.headers, signed.body)
        assert isinstance(reading, Malformed | Forged)

    async def test_a_signed_body_that_names_a_field_twice_is_never_a_payment(
        self, rig: GatewayRig
    ) -> None:
        payment = await opened(rig)
        good = await rig.webhook(payment.gateway_payment_id)
        twice = await rig.sign(good.body.rstrip()[:-1] + b"," + good.body.lstrip()[1:])
        reading = rig.gateway.read_webhook(twice.headers, twice.body)
        assert isinstance(reading, Malformed | Forged)

    @pytest.mark.parametrize(
        "paid", ["-1", '"-1"', '"NaN"', '"Infinity"', "1E400", f"1E{10**20}", "true", "[]"]
    )
    async def test_what_is_no_amount_of_money_never_becomes_one(
        self, rig: GatewayRig, paid: str
    ) -> None:
        payment = await opened(rig)
        odd = await rig.webhook_paid(payment.gateway_payment_id, paid)
        reading = rig.gateway.read_webhook(odd.headers, odd.body)
        if isinstance(reading, VerifiedPayment):
            assert reading.report.actually_paid is None

    @pytest.mark.parametrize("paid", [EXACT, f'"{EXACT}"'])
    async def test_an_amount_is_exact_to_the_last_digit_as_number_and_as_text(
        self, rig: GatewayRig, paid: str
    ) -> None:
        payment = await opened(rig)
        reading = await verified(rig, await rig.webhook_paid(payment.gateway_payment_id, paid))
        assert reading.report.actually_paid == Decimal(EXACT)
