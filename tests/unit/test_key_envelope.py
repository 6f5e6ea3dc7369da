"""Sealing: what a key is bound to, that nothing repeats, and that every fault looks alike."""

import base64
import hashlib
import hmac
import secrets
import sys
import traceback
from collections.abc import Sequence

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.sealed import Bound, SealedBytes
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import StoredObject
from bitloot.testing.seeded import SeededBytes
from bitloot_adapters.key_envelope.keyring import Keyring, keyring, keyring_faults, parse_keys
from bitloot_adapters.key_envelope.vault import EnvelopeVault
from bitloot_adapters.local.file_vault import FileVaultSettings
from bitloot_adapters.r2.plugin import R2Settings

SERIAL = b"AAAA1-BBBB2-CCCC3"
KEY_1, KEY_2 = hashlib.sha256(b"one").digest(), hashlib.sha256(b"two").digest()
PEPPER = b"a pepper that is long enough for it"
IDS = tuple(f"0198f2a4-8d1c-7c3e-9f00-{number:012d}" for number in range(10))
UNIT = Bound(sealed_key_id=IDS[0], order_id=IDS[1], order_item_id=IDS[2], slot=3)
STOCK = Bound(sealed_key_id=IDS[0], product_id=IDS[4])


class NoStore:
    """Sealing reaches no store."""

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        raise AssertionError

    async def stat(self, object_name: str) -> StoredObject | None:
        raise AssertionError

    async def get(self, object_name: str, *, size: int) -> bytes:
        raise AssertionError

    async def delete(self, object_name: str) -> None:
        raise AssertionError

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        raise AssertionError

    async def check(self) -> None:
        raise AssertionError


def vault(
    keys: dict[str, bytes] | None = None, current: str = "one", pepper: bytes = PEPPER
) -> EnvelopeVault:
    ring = Keyring(current=current, keys=keys or {"one": KEY_1}, pepper=pepper)
    return EnvelopeVault("test", ring, NoStore(), secrets.token_bytes)


def opened(by: EnvelopeVault, sealed: SealedBytes, bound: Bound) -> bytes:
    return by.unseal(
        sealed.ciphertext,
        nonce=sealed.nonce,
        wrapped_dek=sealed.wrapped_dek,
        kek_id=sealed.kek_id,
        bound=bound,
    )


def refusal(by: EnvelopeVault, sealed: SealedBytes, bound: Bound) -> str:
    """The whole of what a caller could print of the fault, but for the lines it came from."""
    with pytest.raises(VaultFault) as fault:
        opened(by, sealed, bound)
    assert fault.value.__cause__ is None
    assert fault.value.args == ()
    return "".join(traceback.format_exception_only(fault.value))


# --- associated data -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (UNIT, f"v1|{IDS[0]}|{IDS[1]}|{IDS[2]}|3"),
        (STOCK, f"v1|{IDS[0]}|stock|{IDS[4]}"),
    ],
)
def test_a_seal_can_be_opened_by_hand_with_the_texts_it_is_bound_to(
    bound: Bound, text: str
) -> None:
    sealed = vault().seal(SERIAL, bound)
    nonce, wrapped = sealed.wrapped_dek[:12], sealed.wrapped_dek[12:]
    data_key = AESGCM(KEY_1).decrypt(nonce, wrapped, text.encode())
    assert len(data_key) == 32
    bound_to = f"v1|{IDS[0]}|keys/{IDS[0]}".encode()
    assert AESGCM(data_key).decrypt(sealed.nonce, sealed.ciphertext, bound_to) == SERIAL


def test_what_was_sealed_by_hand_with_these_texts_opens() -> None:
    data_key, nonce, wrap_nonce = (secrets.token_bytes(size) for size in (32, 12, 12))
    bound_to = f"v1|{IDS[0]}|keys/{IDS[0]}".encode()
    text = f"v1|{IDS[0]}|{IDS[1]}|{IDS[2]}|3".encode()
    plaintext = vault().unseal(
        AESGCM(data_key).encrypt(nonce, SERIAL, bound_to),
        nonce=nonce,
        wrapped_dek=wrap_nonce + AESGCM(KEY_1).encrypt(wrap_nonce, data_key, text),
        kek_id="one",
        bound=UNIT,
    )
    assert plaintext == SERIAL


@pytest.mark.parametrize(
    "bound",
    [
        Bound(sealed_key_id=IDS[0]),
        Bound(sealed_key_id=IDS[0], order_id=IDS[1]),
        Bound(sealed_key_id=IDS[0], order_id=IDS[1], order_item_id=IDS[2]),
        Bound(sealed_key_id=IDS[0], order_id=IDS[1], order_item_id=IDS[2], slot=1, product_id="p"),
        Bound(sealed_key_id=IDS[0], slot=1, product_id="p"),
    ],
)
def test_half_a_binding_is_a_mistake_of_the_caller(bound: Bound) -> None:
    with pytest.raises(ValueError, match="bound"):
        vault().seal(SERIAL, bound)


# --- swaps and flips -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(50))
def test_every_byte_of_an_object_counts_and_all_faults_look_alike(seed: int) -> None:
    by = vault()
    random = SeededBytes(seed)
    sealed = by.seal(random(1 + seed), UNIT)
    forms = set()
    for part in ("ciphertext", "nonce", "wrapped_dek"):
        data: bytes = getattr(sealed, part)
        for at in range(len(data)):
            change = 1 << random(1)[0] % 8
            flipped = data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]
            spoiled = msgspec.structs.replace(sealed, **{part: flipped})
            forms.add(refusal(by, spoiled, UNIT))
    assert len(forms) == 1


def test_swapped_parts_rows_and_bindings_are_refused_in_the_same_form() -> None:
    by = vault({"one": KEY_1, "two": KEY_2})
    elsewhere = Bound(sealed_key_id=IDS[5], order_id=IDS[1], order_item_id=IDS[2], slot=3)
    mine, theirs = by.seal(SERIAL, UNIT), by.seal(SERIAL, elsewhere)
    swap, rebound = msgspec.structs.replace, msgspec.structs.replace
    attempts = [
        (theirs, UNIT),
        (swap(mine, ciphertext=theirs.ciphertext), UNIT),
        (swap(mine, ciphertext=theirs.ciphertext, nonce=theirs.nonce), UNIT),
        (swap(mine, wrapped_dek=theirs.wrapped_dek), UNIT),
        (swap(mine, nonce=theirs.nonce), UNIT),
        (swap(mine, kek_id="two"), UNIT),
        (swap(mine, kek_id="none"), UNIT),
        (swap(mine, nonce=mine.nonce + b"\0"), UNIT),
        (swap(mine, nonce=b""), UNIT),
        (swap(mine, ciphertext=b""), UNIT),
        (swap(mine, ciphertext=mine.ciphertext + b"\0"), UNIT),
        (swap(mine, wrapped_dek=mine.wrapped_dek[:-1]), UNIT),
        (swap(mine, wrapped_dek=b""), UNIT),
        (mine, rebound(UNIT, sealed_key_id=IDS[5])),
        (mine, rebound(UNIT, order_id=IDS[5])),
        (mine, rebound(UNIT, order_item_id=IDS[5])),
        (mine, rebound(UNIT, order_id=IDS[2], order_item_id=IDS[1])),
        (mine, rebound(UNIT, slot=4)),
        (mine, STOCK),
    ]
    assert len({refusal(by, sealed, bound) for sealed, bound in attempts}) == 1
    assert opened(by, mine, UNIT) == SERIAL


def test_a_fault_shows_neither_keys_nor_plaintext() -> None:
    by = vault()
    sealed = by.seal(SERIAL, UNIT)
    try:
        opened(by, sealed, STOCK)
    except VaultFault:
        told = "".join(traceback.format_exception(*sys.exc_info()))
    for secret in (SERIAL, KEY_1, PEPPER):
        assert secret.hex() not in told
        assert repr(secret) not in told


# --- uniqueness ------------------------------------------------------------------------------


def test_no_data_key_nonce_or_wrapping_repeats_in_many_seals() -> None:
    by, seen, count = vault(), [set[bytes]() for _ in range(4)], 2000
    text = f"v1|{IDS[0]}|{IDS[1]}|{IDS[2]}|3".encode()
    for _ in range(count):
        sealed = by.seal(SERIAL, UNIT)
        wrap_nonce, wrapped = sealed.wrapped_dek[:12], sealed.wrapped_dek[12:]
        data_key = AESGCM(KEY_1).decrypt(wrap_nonce, wrapped, text)
        for group, value in zip(
            seen, (data_key, sealed.nonce, wrap_nonce, sealed.ciphertext), strict=True
        ):
            group.add(value)
    assert [len(group) for group in seen] == [count] * 4


@given(st.binary(max_size=300))
def test_any_bytes_come_back_as_they_were(plaintext: bytes) -> None:
    by = vault()
    sealed = by.seal(plaintext, STOCK)
    assert opened(by, sealed, STOCK) == plaintext
    assert sealed.size == len(plaintext) + 16
    assert sealed.sha256 == hashlib.sha256(sealed.ciphertext).hexdigest()
    assert sealed.object_name == f"keys/{IDS[0]}"


# --- rotation --------------------------------------------------------------------------------


def test_after_a_rotation_old_seals_open_new_ones_use_the_new_key_and_old_ones_move() -> None:
    before = vault()
    sealed = before.seal(SERIAL, UNIT)
    after = vault({"two": KEY_2, "one": KEY_1}, current="two")
    assert opened(after, sealed, UNIT) == SERIAL
    wrapped = after.rewrap(sealed.wrapped_dek, sealed.kek_id, UNIT, UNIT)
    assert wrapped.kek_id == "two"
    moved = msgspec.structs.replace(sealed, wrapped_dek=wrapped.wrapped_dek, kek_id=wrapped.kek_id)
    only_new = vault({"two": KEY_2}, current="two")
    assert opened(only_new, moved, UNIT) == SERIAL
    assert refusal(only_new, sealed, UNIT) == refusal(before, moved, UNIT)


def test_assigning_stock_wraps_anew_and_leaves_the_object_as_it_is() -> None:
    by = vault()
    sealed = by.seal(SERIAL, STOCK)
    wrapped = by.rewrap(sealed.wrapped_dek, "one", STOCK, UNIT)
    sold = msgspec.structs.replace(sealed, wrapped_dek=wrapped.wrapped_dek)
    assert opened(by, sold, UNIT) == SERIAL
    refusal(by, sold, STOCK)
    with pytest.raises(VaultFault):
        by.rewrap(sealed.wrapped_dek, "one", UNIT, UNIT)


# --- fingerprints ----------------------------------------------------------------------------


def test_a_fingerprint_is_the_keyed_digest_of_the_normal_form() -> None:
    by = vault()
    wanted = hmac.new(PEPPER, SERIAL, hashlib.sha256).hexdigest()
    assert by.fingerprint(SERIAL) == wanted
    assert by.fingerprint(b"\t" + SERIAL + b"\r\n") == wanted
    assert by.fingerprint("e\u0301".encode()) == by.fingerprint("\u00e9".encode())
    assert by.fingerprint(b"\xff\xfe ") == hmac.new(PEPPER, b"\xff\xfe ", "sha256").hexdigest()
    assert vault(pepper=b"x" * 32).fingerprint(SERIAL) != wanted


# --- the keyring -----------------------------------------------------------------------------


def written(name: str, key: bytes) -> str:
    return f"{name}:{base64.b64encode(key).decode()}"


def test_the_first_key_is_current_and_the_others_only_open() -> None:
    ring = keyring(f"{written('new', KEY_2)}, {written('old', KEY_1)} ,", "p" * 32)
    assert ring.current == "new"
    assert ring.keys == {"new": KEY_2, "old": KEY_1}
    assert ring.pepper == b"p" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        " , ",
        "one",
        "one:",
        "one:not base64!",
        base64.b64encode(KEY_1).decode(),
        written("one", KEY_1[:31]),
        written("one", KEY_1 + b"x"),
        written("", KEY_1),
        written("One", KEY_1),
        written("a b", KEY_1),
        written("x" * 33, KEY_1),
        f"{written('one', KEY_1)},{written('one', KEY_2)}",
    ],
)
def test_keys_that_cannot_be_read_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"key|id:base64") as fault:
        parse_keys(text)
    assert base64.b64encode(KEY_1).decode()[:8] not in str(fault.value)
    faults = keyring_faults("BITLOOT_X_", text, PEPPER.decode(), is_production=False)
    assert len(faults) == 1
    assert faults[0].startswith("BITLOOT_X_KEKS: ")


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\xff" * 32,
        b"0123456789abcdef" * 2,
        b"change-me-change-me-change-me-xx",
        b"development-only-key-0123456789a",
        bytes(range(32)),
        bytes(range(100, 132)),
    ],
)
def test_placeholder_keys_are_refused_in_production_only(key: bytes) -> None:
    text = f"{written('good', KEY_1)},{written('weak', key)}"
    assert keyring_faults("X_", text, PEPPER.decode(), is_production=False) == []
    (fault,) = keyring_faults("X_", text, PEPPER.decode(), is_production=True)
    assert "weak" in fault
    assert "good" not in fault


def test_generated_keys_are_taken_in_production() -> None:
    for _ in range(500):
        text = written("good", secrets.token_bytes(32))
        assert keyring_faults("X_", text, PEPPER.decode(), is_production=True) == []


@pytest.mark.parametrize("pepper", ["", "short", "a" * 64, "ab" * 32])
def test_a_pepper_that_is_short_or_monotonous_is_refused(pepper: str) -> None:
    (fault,) = keyring_faults("X_", written("one", KEY_1), pepper, is_production=False)
    assert fault.startswith("X_PEPPER ")
    assert not pepper or pepper not in fault


def test_neither_keyring_nor_settings_nor_vault_show_a_secret() -> None:
    text = written("one", KEY_1)
    ring = keyring(text, PEPPER.decode())
    shown = [
        repr(ring),
        repr(EnvelopeVault("test", ring, NoStore(), secrets.token_bytes)),
        repr(FileVaultSettings(keks=text, pepper=PEPPER.decode())),
        repr(
            R2Settings(
                endpoint="https://r2.test",
                bucket="keys",
                access_key="access-secret",
                secret_key="secret-secret",
                keks=text,
                pepper=PEPPER.decode(),
            )
        ),
    ]
    for line in shown:
        for secret in (text[4:], repr(KEY_1), PEPPER.decode(), "access-secret", "secret-secret"):
            assert secret not in line
    assert "one" in repr(ring)
