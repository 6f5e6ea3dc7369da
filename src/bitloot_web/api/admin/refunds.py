"""Writing down that money was sent back."""

from dataclasses import replace
from functools import partial
from typing import Literal
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.decision import Decision
from bitloot.domain.money import BadMoney, parse_crypto, plain
from bitloot.domain.refund import RefundRecord
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot_web.api.admin.fulfilment import Accepted, accepted
from bitloot_web.api.fields import Money, Name, Reason, ShortText, eur, no_money
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import decide_once
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.routes import post
from bitloot_web.security.access import Staff


class NewRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What was sent back, and its worth in EUR on the stated basis.

    `confirmed` is needed where a key was revealed already.
    """

    amount: Money
    asset: ShortText
    address: Name
    tx_id: Name
    basis: Literal["then", "now", "fiat", "overpaid", "custom"]
    eur: Money
    reason: Reason
    confirmed: bool = False


@post(
    "/orders/{order_id:uuid}/refunds",
    access=Staff("refunds.write"),
    operation_id="adminRecordRefund",
)
async def record_refund(
    *,
    shop: TheShop,
    actor: TheActor,
    order_id: FromPath[UUID],
    data: JSONBody[NewRefund],
    repeatable: TheRepeatable,
) -> Accepted:
    """Record a refund: the order ends, its links end, its goods come back where they can."""
    record = RefundRecord(
        amount=_crypto(data.amount),
        asset=data.asset.lower(),
        address=data.address,
        tx_id=data.tx_id,
        basis=data.basis,
        eur=eur(data.eur, "eur"),
        reason=data.reason,
    )
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> Decision:
        return await replace(shop.aftercare, uow=uow).refund(
            str(order_id), record, actor=actor.name, confirmed=data.confirmed
        )

    return await decide_once(shop, once, Accepted, partial(accepted, str(order_id)), act)


def _crypto(text: str) -> str:
    try:
        amount = parse_crypto(text)
    except BadMoney as error:
        raise no_money(error, "amount") from None
    if amount <= 0:
        fault = FieldError("amount", "The amount is above zero.")
        raise ProblemError("invalid-input", errors=(fault,))
    return plain(amount)
