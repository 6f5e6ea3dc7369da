"""A stand-in lacks no call of its port: the suite of the port makes them all, on each of them."""

import inspect
import re
from pathlib import Path

import pytest

from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.supplier import Supplier
from bitloot.testing.key_vault import KeyVaultContract
from bitloot.testing.mailer import MailerContract
from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot.testing.supplier import SupplierContract
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.supplier import MemorySupplier

HERE = Path(__file__).parent
PORTS = [
    (PaymentGateway, PaymentGatewayContract, MemoryPaymentGateway, "nowpayments"),
    (Supplier, SupplierContract, MemorySupplier, "kinguin"),
    (Mailer, MailerContract, MemoryMailer, "resend"),
    (KeyVault, KeyVaultContract, MemoryKeyVault, None),
]


def calls_of(port: type[object]) -> list[str]:
    """What can be asked of a port."""
    return [name for name, _ in inspect.getmembers(port, inspect.isfunction) if name[0] != "_"]


@pytest.mark.parametrize(("port", "suite", "memory", "vendor"), PORTS)
def test_the_suite_of_a_port_makes_every_call_of_it_and_runs_on_every_stand_in(
    port: type[object], suite: type[object], memory: type[object], vendor: str | None
) -> None:
    modules = (inspect.getmodule(part) for part in inspect.getmro(suite)[:-1])
    made = "".join(inspect.getsource(module) for module in modules if module is not None)
    calls = calls_of(port)
    assert len(calls) > 2
    assert [name for name in calls if not re.search(rf"\.{name}\(", made)] == []
    assert [name for name in calls if not callable(getattr(memory, name, None))] == []
    if vendor is not None:
        test = (HERE / f"test_{vendor}.py").read_text(encoding="utf-8")
        assert f"({suite.__name__})" in test
        assert f"bitloot_adapters.sandbox.{vendor}" in test


def test_a_call_that_no_suite_makes_is_found() -> None:
    class Lacking:
        async def give_everything_back(self) -> None: ...

    made = inspect.getsource(SupplierContract)
    assert [name for name in calls_of(Lacking) if f".{name}(" not in made] == [
        "give_everything_back"
    ]
