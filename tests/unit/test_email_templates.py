"""What the shop's mails say, and what they never can."""

import html
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.email import ACCOUNT_KINDS, CODE_KINDS, LINK_KINDS, EmailKind
from bitloot.domain.money import CryptoAmount
from bitloot.ports.email_templates import EmailFacts, EmailLine, Rendered
from bitloot_adapters.email_templates import load_email_templates
from bitloot_adapters.email_templates.render import KINDS, MAX_SUBJECT

render = load_email_templates()

FACTS = EmailFacts(
    kind="order-created",
    order_number="BL-7Q2M",
    order_ref="0197-a",
    public_url="https://shop.example",
    lines=(
        EmailLine(title="Café Noir", quantity=2, is_ready=True),
        EmailLine(title="Rosé <b>", quantity=1),
    ),
    total=Decimal("12.5"),
    pay_until=datetime(2026, 3, 2, 10, 30, tzinfo=UTC),
    pay_address="ltc1qpay",
    pay_memo="778899",
    pay_network="ltc",
    asked=CryptoAmount(Decimal("0.123000"), "ltc"),
    received=CryptoAmount(Decimal("0.1"), "ltc"),
    surplus=Decimal("1.25"),
    code="402913",
)


def mail(kind: EmailKind, **changes: object) -> Rendered:
    return render(msgspec.structs.replace(FACTS, kind=kind, **changes))


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(ACCOUNT_KINDS)))
def test_every_mail_of_an_order_names_it_and_links_to_it_in_both_forms(kind: EmailKind) -> None:
    found = mail(kind)
    assert "BL-7Q2M" in found.subject
    for body in (found.text, html.unescape(found.html)):
        assert "BL-7Q2M" in body
        assert "https://shop.example/orders/0197-a" in body
        assert "We never send keys by e-mail" in body


@pytest.mark.parametrize("kind", KINDS)
def test_every_mail_can_be_made_from_the_fewest_facts(kind: EmailKind) -> None:
    least = EmailFacts(
        kind=kind,
        order_number="BL-1",
        order_ref="1",
        public_url="https://shop.example/",
        code="402913" if kind in CODE_KINDS else None,
    )
    found = render(least)
    assert "None" not in found.text
    place = "account" if kind in ACCOUNT_KINDS else "orders/1"
    assert f"https://shop.example/{place}" in found.text


@pytest.mark.parametrize("kind", ACCOUNT_KINDS)
def test_a_mail_of_an_account_names_no_order_and_links_to_the_account(kind: EmailKind) -> None:
    found = mail(kind)
    for body in (found.text, html.unescape(found.html)):
        assert "BL-7Q2M" not in body
        assert "https://shop.example/account" in body
        assert "We never send keys by e-mail" in body


@pytest.mark.parametrize("kind", KINDS)
def test_only_mails_with_a_code_tell_it_and_never_in_their_subject(kind: EmailKind) -> None:
    found = mail(kind)
    assert ("402913" in found.text) == ("402913" in found.html) == (kind in CODE_KINDS)
    assert "402913" not in found.subject


@pytest.mark.parametrize("kind", CODE_KINDS)
def test_a_mail_with_a_code_is_not_made_without_it(kind: EmailKind) -> None:
    with pytest.raises(ValueError, match="code"):
        mail(kind, code=None)


@pytest.mark.parametrize("kind", KINDS)
def test_only_mails_that_stop_something_tell_the_signed_link(kind: EmailKind) -> None:
    signed = "https://shop.example/stop?token=ab.cd"
    found = mail(kind, action_link=signed, due=datetime(2026, 4, 1, 2, tzinfo=UTC))
    assert (signed in found.text) == (f'href="{signed}"' in found.html) == (kind in LINK_KINDS)
    assert ("01 April 2026, 02:00 UTC" in found.text) == (kind in LINK_KINDS)


@pytest.mark.parametrize("kind", ["email-changed", "recovery-done"])
def test_a_moved_account_is_told_its_new_address(kind: EmailKind) -> None:
    assert "new@shop.example" in mail(kind, email="new@shop.example").text


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_facts_make_the_same_bytes(kind: EmailKind) -> None:
    assert mail(kind) == load_email_templates()(msgspec.structs.replace(FACTS, kind=kind))


def test_the_first_mail_tells_amount_address_memo_deadline_and_the_underpayment_policy() -> None:
    text = mail("order-created").text
    assert "0.123 LTC" in text
    assert "ltc1qpay" in text
    assert "778899" in text
    assert "02 March 2026, 10:30 UTC" in text
    assert "12.50 EUR" in text
    assert "is not refunded" in text
    assert "by however little" in text


def test_a_tolerance_is_told_as_it_is() -> None:
    assert "more than 0.5 percent" in mail("order-created", tolerance=Decimal("0.005")).text


def test_a_hosted_page_is_linked_instead_of_an_address() -> None:
    page = "https://pay.example/i/1?a=b&c=d"
    found = mail("order-created", pay_address=None, asked=None, pay_page=page)
    assert page in found.text
    assert f'href="{html.escape(page)}"' in found.html


def test_an_underpaid_order_is_told_the_policy_and_what_to_do_next() -> None:
    text = mail("order-underpaid").text
    assert "0.1 LTC" in text
    assert "0.123 LTC" in text
    assert "not refundable" in text
    assert "What you can do" in text


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("provider_failed", "try again"),
        ("fulfilment_failed", "could not get all items"),
        ("wrong_asset", "another coin"),
        ("amount_mismatch", "does not match"),
        ("late_payment", "time was over"),
        ("underpaid", "not refundable"),
        (None, "try again"),
    ],
)
def test_a_failed_order_says_why(reason: str | None, said: str) -> None:
    assert said in mail("order-failed", failure_reason=reason).text


@pytest.mark.parametrize(
    "reason",
    ["amount_mismatch", "wrong_asset", "paid_late", "paid_after_end", "duplicate_payment", None],
)
def test_a_held_payment_is_never_asked_for_again(reason: str | None) -> None:
    text = mail("payment-held", hold_reason=reason).text
    assert "do not pay again" in text
    assert "A person looks at it" in text


def test_a_partly_ready_order_tells_what_is_there_and_what_is_to_come() -> None:
    ready, _, waiting = mail("order-partly-ready").text.partition("still on their way")
    assert "2 x Café Noir" in ready
    assert "1 x Rosé <b>" in waiting


def test_a_refund_names_amount_and_transaction() -> None:
    text = mail(
        "order-refunded", refund=CryptoAmount(Decimal("0.5"), "ltc"), refund_transaction="ab" * 32
    ).text
    assert "0.5 LTC" in text
    assert "ab" * 32 in text


def test_markup_in_a_title_is_text_in_the_mail() -> None:
    lines = (EmailLine(title="<script>alert(1)</script>", quantity=1),)
    found = mail("order-ready", lines=lines)
    assert "<script" not in found.html
    assert "&lt;script&gt;" in found.html
    assert "<script>alert(1)</script>" in found.text


@given(st.text(max_size=300), st.sampled_from(KINDS))
def test_no_fact_breaks_out_of_its_line_or_into_the_headers(text: str, kind: EmailKind) -> None:
    hostile = f"x\r\nBcc: all@example.org\n\n{text}"
    found = mail(
        kind,
        order_number=hostile,
        shop_name=hostile,
        pay_address=hostile,
        lines=(EmailLine(title=hostile, quantity=1),),
        code="402913",
    )
    assert found.subject.isprintable()
    assert len(found.subject) <= MAX_SUBJECT
    assert "\nBcc:" not in found.text
    assert "\r" not in found.text
