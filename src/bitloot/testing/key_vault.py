"""The suite of key vaults."""

import unicodedata
from hashlib import sha256
from typing import Final

import msgspec
import pytest

from bitloot.domain.sealed import Bound, SealedBytes
from bitloot.ports.errors import Unavailable, VaultFault
from bitloot.ports.key_vault import StoredObject
from bitloot.testing.contract import Contract, needs
from bitloot.testing.provider_rigs import VaultRig

SERIAL: Final = b"AAAA1-BBBB2-CCCC3"
IMAGE: Final = bytes(range(256)) * 64


def unit(rig: VaultRig, *, slot: int = 1) -> Bound:
    """A fresh unit of an order."""
    return Bound(
        sealed_key_id=rig.new_id(), order_id=rig.new_id(), order_item_id=rig.new_id(), slot=slot
    )


def stock(rig: VaultRig) -> Bound:
    """A fresh key of our own stock."""
    return Bound(sealed_key_id=rig.new_id(), product_id=rig.new_id())


def opened(
    rig: VaultRig, sealed: SealedBytes, bound: Bound, *, ciphertext: bytes | None = None
) -> bytes:
    """What the vault makes of sealed bytes."""
    return rig.vault.unseal(
        sealed.ciphertext if ciphertext is None else ciphertext,
        nonce=sealed.nonce,
        wrapped_dek=sealed.wrapped_dek,
        kek_id=sealed.kek_id,
        bound=bound,
    )


def refusal(rig: VaultRig, sealed: SealedBytes, bound: Bound) -> str:
    """How the vault refuses to open; fails the test if it does not."""
    with pytest.raises(VaultFault) as fault:
        opened(rig, sealed, bound)
    assert SERIAL.decode() not in repr(fault.value)
    return repr(fault.value)


async def fetched(rig: VaultRig, sealed: SealedBytes, bound: Bound) -> bytes:
    """The object of a sealed key, read and opened."""
    stored = await rig.vault.get(sealed.object_name, size=sealed.size)
    return opened(rig, sealed, bound, ciphertext=stored)


def flipped(data: bytes, at: int) -> bytes:
    """One bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class KeyVaultContract(Contract):
    """Fixture `rig`: a `VaultRig`. A lever that may be missing: `go_down`."""

    # --- sealing -------------------------------------------------------------------------

    @pytest.mark.parametrize("plaintext", [SERIAL, b"", "ключ-é".encode(), IMAGE])
    async def test_what_was_sealed_opens_to_the_same_bytes(
        self, rig: VaultRig, plaintext: bytes
    ) -> None:
        for bound in (unit(rig), stock(rig)):
            sealed = rig.vault.seal(plaintext, bound)
            assert opened(rig, sealed, bound) == plaintext

    async def test_a_seal_describes_its_ciphertext(self, rig: VaultRig) -> None:
        bound = unit(rig)
        sealed = rig.vault.seal(SERIAL, bound)
        assert sealed.object_name == f"keys/{bound.sealed_key_id}"
        assert sealed.size == len(sealed.ciphertext)
        assert sealed.sha256 == sha256(sealed.ciphertext).hexdigest()
        assert sealed.kek_id == rig.vault.kek_id
        assert SERIAL not in b"|".join((sealed.ciphertext, sealed.wrapped_dek, sealed.nonce))

    async def test_no_two_seals_share_anything_that_must_be_fresh(self, rig: VaultRig) -> None:
        bound = unit(rig)
        seals = [rig.vault.seal(SERIAL, bound) for _ in range(200)]
        for part in ("nonce", "ciphertext", "wrapped_dek"):
            assert len({getattr(sealed, part) for sealed in seals}) == len(seals), part

    async def test_a_key_does_not_open_for_another_unit(self, rig: VaultRig) -> None:
        bound = unit(rig)
        sealed = rig.vault.seal(SERIAL, bound)
        others = (
            msgspec.structs.replace(bound, sealed_key_id=rig.new_id()),
            msgspec.structs.replace(bound, order_id=rig.new_id()),
            msgspec.structs.replace(bound, order_item_id=rig.new_id()),
            msgspec.structs.replace(bound, slot=2),
            Bound(sealed_key_id=bound.sealed_key_id, product_id=bound.order_id),
        )
        assert len({refusal(rig, sealed, other) for other in others}) == 1

    async def test_stock_does_not_open_as_another_product_s_or_as_sold(self, rig: VaultRig) -> None:
        bound = stock(rig)
        sealed = rig.vault.seal(SERIAL, bound)
        refusal(rig, sealed, msgspec.structs.replace(bound, product_id=rig.new_id()))
        sold = msgspec.structs.replace(unit(rig), sealed_key_id=bound.sealed_key_id)
        refusal(rig, sealed, sold)

    async def test_a_changed_bit_anywhere_is_refused_in_one_form(self, rig: VaultRig) -> None:
        bound = unit(rig)
        sealed = rig.vault.seal(SERIAL, bound)
        forms = set()
        for part in ("ciphertext", "nonce", "wrapped_dek"):
            data: bytes = getattr(sealed, part)
            for at in range(len(data)):
                spoiled = msgspec.structs.replace(sealed, **{part: flipped(data, at)})
                forms.add(refusal(rig, spoiled, bound))
        assert len(forms) == 1

    async def test_cut_swapped_and_foreign_parts_are_refused_in_the_same_form(
        self, rig: VaultRig
    ) -> None:
        bound, other_bound = unit(rig), unit(rig)
        sealed, other = rig.vault.seal(SERIAL, bound), rig.vault.seal(SERIAL, other_bound)
        replace = msgspec.structs.replace
        spoiled = (
            replace(sealed, ciphertext=other.ciphertext),
            replace(sealed, ciphertext=other.ciphertext, nonce=other.nonce),
            replace(sealed, wrapped_dek=other.wrapped_dek),
            replace(sealed, ciphertext=b""),
            replace(sealed, ciphertext=sealed.ciphertext[:-1]),
            replace(sealed, wrapped_dek=b""),
            replace(sealed, wrapped_dek=sealed.wrapped_dek[:-1]),
            replace(sealed, nonce=b""),
            replace(sealed, kek_id="no-such-kek"),
        )
        assert len({refusal(rig, one, bound) for one in spoiled}) == 1

    async def test_a_whole_record_moved_under_another_id_is_refused(self, rig: VaultRig) -> None:
        mine, theirs = unit(rig), unit(rig)
        sealed = rig.vault.seal(SERIAL, mine)
        refusal(rig, sealed, theirs)

    # --- assigning and rotating ----------------------------------------------------------

    async def test_assigning_stock_binds_it_anew_and_keeps_its_bytes(self, rig: VaultRig) -> None:
        shelf = stock(rig)
        sold = msgspec.structs.replace(unit(rig), sealed_key_id=shelf.sealed_key_id)
        sealed = rig.vault.seal(SERIAL, shelf)
        wrapped = rig.vault.rewrap(sealed.wrapped_dek, sealed.kek_id, shelf, sold)
        assigned = msgspec.structs.replace(
            sealed, wrapped_dek=wrapped.wrapped_dek, kek_id=wrapped.kek_id
        )
        assert wrapped.wrapped_dek != sealed.wrapped_dek
        assert opened(rig, assigned, sold) == SERIAL
        refusal(rig, assigned, shelf)

    async def test_what_is_not_bound_so_cannot_be_bound_anew(self, rig: VaultRig) -> None:
        mine, theirs = stock(rig), stock(rig)
        sealed = rig.vault.seal(SERIAL, mine)
        with pytest.raises(VaultFault):
            rig.vault.rewrap(sealed.wrapped_dek, sealed.kek_id, theirs, unit(rig))

    async def test_rotation_keeps_old_keys_readable_and_moves_them_over(
        self, rig: VaultRig
    ) -> None:
        bound = unit(rig)
        sealed = rig.vault.seal(SERIAL, bound)
        await rig.rotate()
        assert rig.vault.kek_id != sealed.kek_id
        assert opened(rig, sealed, bound) == SERIAL
        wrapped = rig.vault.rewrap(sealed.wrapped_dek, sealed.kek_id, bound, bound)
        assert wrapped.kek_id == rig.vault.kek_id
        moved = msgspec.structs.replace(
            sealed, wrapped_dek=wrapped.wrapped_dek, kek_id=wrapped.kek_id
        )
        assert opened(rig, moved, bound) == SERIAL
        assert rig.vault.seal(SERIAL, bound).kek_id == rig.vault.kek_id

    # --- fingerprints --------------------------------------------------------------------

    async def test_the_same_key_has_the_same_fingerprint_however_it_is_written(
        self, rig: VaultRig
    ) -> None:
        wanted = rig.vault.fingerprint(SERIAL)
        assert rig.vault.fingerprint(b" " + SERIAL + b"\r\n") == wanted
        assert rig.vault.seal(SERIAL, unit(rig)).fingerprint == wanted
        composed = unicodedata.normalize("NFC", "clé-ü").encode()
        taken_apart = unicodedata.normalize("NFD", "clé-ü").encode()
        assert composed != taken_apart
        assert rig.vault.fingerprint(composed) == rig.vault.fingerprint(taken_apart)

    async def test_keys_that_differ_in_anything_else_have_different_fingerprints(
        self, rig: VaultRig
    ) -> None:
        texts = (SERIAL, SERIAL.lower(), SERIAL.replace(b"-", b""), SERIAL + b"X", IMAGE, IMAGE[1:])
        assert len({rig.vault.fingerprint(text) for text in texts}) == len(texts)

    async def test_a_fingerprint_is_no_plain_digest(self, rig: VaultRig) -> None:
        plain = {sha256(SERIAL).hexdigest(), sha256(SERIAL + b"\n").hexdigest()}
        assert rig.vault.fingerprint(SERIAL) not in plain

    async def test_fingerprints_outlive_a_rotation(self, rig: VaultRig) -> None:
        before = rig.vault.fingerprint(SERIAL)
        await rig.rotate()
        assert rig.vault.fingerprint(SERIAL) == before

    # --- the store -----------------------------------------------------------------------

    async def test_what_was_put_is_there_byte_for_byte(self, rig: VaultRig) -> None:
        sealed = rig.vault.seal(IMAGE, unit(rig))
        await rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256)
        stat = await rig.vault.stat(sealed.object_name)
        assert stat in {StoredObject(sealed.size, sealed.sha256), StoredObject(sealed.size, None)}
        assert await rig.vault.get(sealed.object_name, size=sealed.size) == sealed.ciphertext

    async def test_putting_the_same_bytes_again_is_harmless(self, rig: VaultRig) -> None:
        sealed = rig.vault.seal(SERIAL, unit(rig))
        for _ in range(3):
            await rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256)
        assert await rig.vault.get(sealed.object_name, size=sealed.size) == sealed.ciphertext

    async def test_what_is_not_there_has_no_size_and_cannot_be_read(self, rig: VaultRig) -> None:
        name = f"keys/{rig.new_id()}"
        assert await rig.vault.stat(name) is None
        with pytest.raises(VaultFault):
            await rig.vault.get(name, size=100)

    async def test_a_deleted_object_is_gone_and_deleting_again_is_harmless(
        self, rig: VaultRig
    ) -> None:
        sealed = rig.vault.seal(SERIAL, unit(rig))
        await rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256)
        for _ in range(2):
            await rig.vault.delete(sealed.object_name)
            assert await rig.vault.stat(sealed.object_name) is None

    async def test_more_bytes_than_were_sealed_are_not_read(self, rig: VaultRig) -> None:
        sealed = rig.vault.seal(SERIAL, unit(rig))
        await rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256)
        await rig.overwrite(sealed.object_name, sealed.ciphertext + b"x" * 1000)
        with pytest.raises(VaultFault):
            await rig.vault.get(sealed.object_name, size=sealed.size)

    async def test_an_object_that_was_exchanged_does_not_open(self, rig: VaultRig) -> None:
        mine, theirs = unit(rig), unit(rig)
        sealed, other = rig.vault.seal(SERIAL, mine), rig.vault.seal(SERIAL, theirs)
        await rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256)
        await rig.overwrite(sealed.object_name, other.ciphertext)
        with pytest.raises(VaultFault):
            await fetched(rig, sealed, mine)

    @needs("go_down")
    async def test_a_store_that_is_not_there_is_unavailable_and_sealing_goes_on(
        self, rig: VaultRig
    ) -> None:
        bound = unit(rig)
        await rig.go_down()
        sealed = rig.vault.seal(SERIAL, bound)
        for call in (
            rig.vault.put(sealed.object_name, sealed.ciphertext, sealed.sha256),
            rig.vault.stat(sealed.object_name),
            rig.vault.get(sealed.object_name, size=sealed.size),
            rig.vault.delete(sealed.object_name),
            rig.vault.names(after=None, limit=1),
            rig.vault.check(),
        ):
            with pytest.raises(Unavailable):
                await call
        await rig.come_back()
        await rig.vault.check()
        assert opened(rig, sealed, bound) == SERIAL

    async def test_names_are_listed_in_their_order_page_by_page(self, rig: VaultRig) -> None:
        sealed = [rig.vault.seal(SERIAL, unit(rig)) for _ in range(5)]
        for each in sealed:
            await rig.vault.put(each.object_name, each.ciphertext, each.sha256)
        gone, *kept = sorted(each.object_name for each in sealed)
        await rig.vault.delete(gone)
        walked: list[str] = []
        while page := await rig.vault.names(after=walked[-1] if walked else None, limit=2):
            assert len(page) <= 2
            walked += page
        assert walked == sorted(walked)
        assert set(kept) <= set(walked)
        assert gone not in walked
