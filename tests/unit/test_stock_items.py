"""Typed items of own stock: read from a file, sealed, known again, and seen in part."""

import base64
import csv
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import Batch, LineReport
from bitloot.domain.stock_item import (
    HIDDEN,
    Account,
    CodeWithPin,
    ItemFault,
    ItemKind,
    LicenceFile,
    account,
    code_with_pin,
    identity,
    licence_file,
    opened,
    preview,
    sealed_form,
)
from bitloot.domain.stock_sheet import Separator, Sheet, read_sheet
from bitloot_adapters.memory.paid_orders import PaidOrders

LIMITS = Limits(licence_file_bytes=16)
FILE = base64.b64encode(b"licensed to you").decode()


def read(text: str | bytes, kind: ItemKind, separator: Separator | None = ",") -> Sheet:
    raw = text.encode() if isinstance(text, str) else text
    return read_sheet(raw, kind, separator=separator, limits=LIMITS)


def refused(sheet: Sheet) -> list[tuple[int, str | None, str]]:
    return [(line.number, line.column, line.outcome) for line in sheet.refused]


def test_accounts_are_read_by_the_names_of_their_columns() -> None:
    sheet = read(
        "\N{ZERO WIDTH NO-BREAK SPACE}Password,LOGIN,ignored,note\r\n"
        '"p,""w ", anna ,x,\r\n'
        "pw2,bert,x, first owner \r\n",
        "account",
    )
    assert sheet.refused == ()
    assert [opened(line.kind, line.serial) for line in sheet.lines] == [
        Account(login="anna", password='p,"w '),
        Account(login="bert", password="pw2", note="first owner"),
    ]


def test_text_with_tabs_is_a_table_too() -> None:
    sheet = read("code\tpin\nC-1\t0001\nC,2\t0002\n", "code-with-pin", "\t")
    assert [opened(line.kind, line.serial) for line in sheet.lines] == [
        CodeWithPin(code="C-1", pin="0001"),
        CodeWithPin(code="C,2", pin="0002"),
    ]


def test_an_item_may_say_its_own_cost_and_end() -> None:
    sheet = read(
        "code,pin,cost,expiresAt\nA,1,2.50,2030-01-31T12:00:00+02:00\nB,2,,\n", "code-with-pin"
    )
    first, second = sheet.lines
    assert first.cost == Decimal("2.50")
    assert first.expires_at == datetime(2030, 1, 31, 10, tzinfo=UTC)
    assert (second.cost, second.expires_at) == (None, None)


def test_each_row_that_is_no_account_is_told_with_its_column() -> None:
    rows = (
        "login,password,note,cost,expiresAt",
        "good,pw,,,",
        ",pw,,,",
        "anna,,,,",
        f"{'x' * 321},pw,,,",
        f"anna,{'x' * 1025},,,",
        f"anna,pw,{'x' * 2001},,",
        "an\0na,pw,,,",
        "anna,p\x1bw,,,",
        "anna,pw,,-1,",
        "anna,pw,,1e3,",
        "anna,pw,,,soon",
        "anna,pw,,,2030-01-31T12:00:00",
        "anna,pw,,,0001-01-01T00:00:00+14:00",
        "",
        ",,,,",
        "anna",
    )
    sheet = read("\n".join(rows), "account")
    assert [line.number for line in sheet.lines] == [2]
    assert refused(sheet) == [
        (3, "login", "missing"),
        (4, "password", "missing"),
        (5, "login", "too_long"),
        (6, "password", "too_long"),
        (7, "note", "too_long"),
        (8, "login", "not_text"),
        (9, "password", "not_text"),
        (10, "cost", "bad_cost"),
        (11, "cost", "bad_cost"),
        (12, "expiresAt", "bad_expiry"),
        (13, "expiresAt", "bad_expiry"),
        (14, "expiresAt", "bad_expiry"),
        (17, "password", "missing"),
    ]


@pytest.mark.parametrize("cost", ["-1", "+1", "NaN", "Infinity", "1e3", "1.123456789", "9" * 13])
def test_a_cost_of_a_row_that_is_no_plain_amount_is_told(cost: str) -> None:
    sheet = read(f"key,cost\nGOOD,1\nBAD,{cost}\n", "key")
    assert [line.serial for line in sheet.lines] == [b"GOOD"]
    assert refused(sheet) == [(3, "cost", "bad_cost")]


def test_each_row_that_is_no_licence_file_is_told_with_its_column() -> None:
    long = base64.b64encode(b"x" * 17).decode()
    rows = (
        "name,mediaType,content",
        f"a.lic,Application/Zip,{FILE}",
        f",text/plain,{FILE}",
        f"../a.lic,text/plain,{FILE}",
        f"a\\b.lic,text/plain,{FILE}",
        f"..,text/plain,{FILE}",
        f"{'x' * 121},text/plain,{FILE}",
        f"a.lic,,{FILE}",
        f"a.lic,text,{FILE}",
        f"a.lic,text/plain; charset=x,{FILE}",
        "a.lic,text/plain,",
        "a.lic,text/plain,####",
        f"a.lic,text/plain,{FILE}=",
        f"a.lic,text/plain,{long}",
    )
    sheet = read("\n".join(rows), "licence-file")
    (line,) = sheet.lines
    item = opened(line.kind, line.serial)
    assert item == LicenceFile(
        name="a.lic", media_type="application/zip", content=b"licensed to you"
    )
    assert refused(sheet) == [
        (3, "name", "missing"),
        (4, "name", "bad_name"),
        (5, "name", "bad_name"),
        (6, "name", "bad_name"),
        (7, "name", "too_long"),
        (8, "mediaType", "bad_media_type"),
        (9, "mediaType", "bad_media_type"),
        (10, "mediaType", "bad_media_type"),
        (11, "content", "missing"),
        (12, "content", "not_base64"),
        (13, "content", "not_base64"),
        (14, "content", "too_large"),
    ]


def test_keys_of_a_table_stay_on_their_lines_and_may_cost_differently() -> None:
    sheet = read("\N{ZERO WIDTH NO-BREAK SPACE}id,Key,cost\n1,A,\n2\n3, C ,4\n4,\0,\n", "key")
    assert [(line.number, line.serial, line.cost) for line in sheet.lines] == [
        (2, b"A", None),
        (4, b"C", Decimal(4)),
    ]
    assert refused(sheet) == [(5, "key", "not_text")]


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "key"),
        (b"a,b\n1,2\n", "key"),
        (b"\xff", "key"),
        (b'key\n"open\n', "key"),
        (b"key\n", "key"),
        (b"key,key\nA,B\n", "key"),
        (b"login\nanna\n", "account"),
        (b"login,password,Login\nanna,x,y\n", "account"),
        (b"code,pin\n,\n", "code-with-pin"),
        (b"name,mediaType\na,b/c\n", "licence-file"),
        (b"name,mediaType,content\na,b/c," + b"A" * 140_000, "licence-file"),
    ],
)
def test_a_table_that_cannot_be_read_at_all_is_refused(raw: bytes, kind: ItemKind) -> None:
    with pytest.raises(Refused) as bad:
        read(raw, kind)
    assert (bad.value.code, bad.value.field) == ("invalid-input", "file")


def test_a_table_above_its_lines_or_bytes_is_refused() -> None:
    assert csv.field_size_limit() >= 4 * Limits().licence_file_bytes // 3 + 4
    few = Limits(key_import_lines=2, key_import_bytes=40)
    with pytest.raises(Refused, match="more than 2"):
        read_sheet(b"code,pin\nA,1\nB,2\nC,3\n", "code-with-pin", separator=",", limits=few)
    told: tuple[tuple[bytes, ItemKind], ...] = (
        (b"code,pin\nA,1\nB,\n,3\n", "code-with-pin"),
        (b"key\nA\n\x01\n\x02\n", "key"),
    )
    for raw, kind in told:
        with pytest.raises(Refused, match="more than 2"):
            read_sheet(raw, kind, separator=",", limits=few)
    with pytest.raises(Refused, match="more than 2"):
        read_sheet(b"A\n\x01\n\x02\n", "key", separator=None, limits=few)
    with pytest.raises(Refused, match="larger than 40"):
        read_sheet(b"code,pin\n" + b"A,1\n" * 9, "code-with-pin", separator=",", limits=few)


def test_only_keys_come_one_a_line() -> None:
    with pytest.raises(Refused, match="send a table"):
        read("anna", "account", None)


@pytest.mark.parametrize(
    ("kind", "payload", "seen"),
    [
        ("key", b"AAAAA-BBBBB-CCCCC", "CCCC"),
        ("key", b"ABCDEFGH", "GH"),
        ("key", b"ABC", ""),
        ("key", b"\xff\xfe", ""),
    ],
)
def test_of_a_key_at_most_the_last_four_characters_are_seen(
    kind: ItemKind, payload: bytes, seen: str
) -> None:
    assert preview(kind, payload) == HIDDEN + seen


def test_of_other_items_neither_password_nor_pin_nor_content_is_seen() -> None:
    assert (
        preview("account", sealed_form(account("anna@x.example", "SECRET"))) == f"anna@x.{HIDDEN}"
    )
    assert preview("account", sealed_form(account("a", "SECRET"))) == HIDDEN
    code = code_with_pin("GIFT-1234-5678-9ABC", "4711")
    assert preview("code-with-pin", sealed_form(code)) == f"{HIDDEN}9ABC"
    file = licence_file("anna.lic", "text/plain", b"SECRET", most=9)
    assert preview("licence-file", sealed_form(file)) == "anna.lic"


def test_what_a_repr_or_an_error_says_holds_no_secret() -> None:
    items = (
        account("SECRET", "SECRET", "SECRET"),
        code_with_pin("SECRET", "SECRET"),
        licence_file("SECRET", "text/plain", b"SECRET", most=9),
    )
    sheet = read("login,password\nSECRET,SECRET\n", "account")
    assert "SECRET" not in repr([*items, sheet])
    with pytest.raises(ItemFault) as bad:
        account("SECRET\0", "x")
    assert "SECRET" not in repr(bad.value)
    with pytest.raises(ValueError, match="no account") as broken:
        opened("account", b'{"login":"SECRET"}')
    assert broken.value.__suppress_context__


def test_a_note_and_a_file_name_make_no_other_item() -> None:
    assert identity(account("anna", "pw", "new")) == identity(account("anna", "pw"))
    assert identity(account("anna", "pw")) != identity(account("anna", "pW"))
    assert identity(code_with_pin("A", "1")) != identity(code_with_pin("A", "2"))
    one, two = (licence_file(name, "text/plain", b"x", most=1) for name in ("a", "b"))
    assert identity(one) == identity(two)


async def test_items_come_in_sealed_and_each_line_that_does_not_is_reported() -> None:
    shop = PaidOrders()
    goods = await shop.own_goods("KNOWN-1")
    batch = Batch(product_id=goods.product.id, name="batch-2", cost=Decimal(3))
    raw = b"login,password,note,cost\nanna,pw,,1.50\nanna,pw,again,\nbert,,,\ncora,pw3,,\n"
    report = await shop.inventory.import_keys(
        raw, batch, actor="admin", kind="account", separator=","
    )
    assert report.imported == 2
    assert report.refused == (
        LineReport(number=3, outcome="repeated_in_file"),
        LineReport(number=4, outcome="missing", column="password"),
    )
    stored = [row for row in shop.store.rows(SealedKey) if row.kind == "account"]
    assert {row.content_type for row in stored} == {"application/json"}
    assert all(row.ciphertext and b"anna" not in row.ciphertext for row in stored)
    costs = {row.cost for row in shop.store.rows(InventoryKey) if row.batch == "batch-2"}
    assert costs == {Decimal("1.50"), Decimal(3)}
    with pytest.raises(Refused, match="duplicate-keys"):
        await shop.inventory.import_keys(
            b"login,password\nanna,pw\n", batch, actor="admin", kind="account", separator=","
        )
    nothing = await shop.inventory.import_keys(
        b"login,password\nanna,\n", batch, actor="admin", kind="account", separator=","
    )
    assert (nothing.imported, len(nothing.refused)) == (0, 1)
