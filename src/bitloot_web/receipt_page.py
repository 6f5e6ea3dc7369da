"""A receipt as a page to print or to keep: plain HTML, which needs no style and no script."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final

from bitloot.domain.money import eur_text, plain
from bitloot.ports.views.orders import ReceiptView

_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Receipt {number}</title></head>
<body>
<h1>Receipt for order {number}</h1>
<table>
<thead><tr><th scope="col">Item</th><th scope="col">Units</th><th scope="col">EUR a unit</th>\
<th scope="col">EUR</th></tr></thead>
<tbody>
{lines}
</tbody>
</table>
<dl>
{facts}
</dl>
</body>
</html>
"""


def receipt_page(view: ReceiptView) -> str:
    """The receipt in HTML; every text in it is escaped."""
    lines = (
        _row(line.title, line.quantity, eur_text(line.unit_price), eur_text(line.total))
        for line in view.lines
    )
    return _PAGE.format(
        number=escape(view.number),
        lines="\n".join(lines),
        facts="\n".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in _facts(view)
        ),
    )


def _row(*cells: str | int) -> str:
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _facts(view: ReceiptView) -> Iterable[tuple[str, str]]:
    yield "Total", f"{eur_text(view.total)} EUR"
    if view.actually_paid is not None and view.pay_currency is not None:
        yield "Paid", f"{plain(view.actually_paid)} {view.pay_currency.upper()}"
    if view.paid_over is not None:
        yield "Paid over", f"{eur_text(view.paid_over)} EUR"
    if view.refunded is not None:
        yield "Given back", f"{eur_text(view.refunded)} EUR"
    yield "Ordered", _moment(view.created_at)
    yield "Paid on", _moment(view.paid_at)
    yield "Buyer", view.email
    if view.country is not None:
        yield "Country", view.country
    if view.gateway is not None and view.gateway_payment_id is not None:
        yield "Payment", f"{view.gateway} {view.gateway_payment_id}"
    if view.payin_hash is not None:
        yield "Transaction", view.payin_hash
    yield "Order id", view.order_id
    yield "Status", view.status


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%d %B %Y, %H:%M UTC")
