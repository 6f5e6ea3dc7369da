"""A buyer says that a unit that was handed over is no good: noted once, for a person to look at.

A report changes nothing else: replacing the key or giving the money back is decided at the desk.
"""

import re
import string
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import ReportReason, SealedKey
from bitloot.domain.order import OrderFile
from bitloot.domain.reveal import keys_to_show

# A key may have spaces within: so many words of a note are read as one.
WORDS_OF_A_KEY: Final = 8
LEAST_OF_A_KEY: Final = 4
_AROUND: Final = string.punctuation + "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
_BETWEEN: Final = re.compile(r"[\s,;:=()\[\]<>\"']+")


def reported(
    file: OrderFile,
    order_item_id: str,
    slot: int,
    keys: Sequence[SealedKey],
    *,
    reason: ReportReason,
    note: str,
    reported_by: str,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The unit bears the mark from here on; `keys` are the sealed keys of its item.

    What the buyer writes stays out of the timeline and the audit log: it may hold a part of what
    was bought, though no key (`demand_no_key`).
    Raises Refused: `not-found` for a unit that was not handed over, `already-reported`.
    """
    item = next((i for i in file.items if i.id == order_item_id), None)
    if item is None:
        raise Refused("not-found")
    key = next((k for k in keys_to_show(file, item.id, keys) if k.slot == slot), None)
    if key is None:
        raise Refused("not-found")
    if key.reported_at is not None:
        raise Refused("already-reported")
    draft = Draft(file, at=at, new_id=new_id)
    draft.set(key, reported_at=at, report_reason=reason, report_note=note or None)
    facts = {"item": item.item_no, "unit": slot, "reason": reason}
    draft.audit(reported_by, "unit.report", key.id, facts=facts)
    draft.event("unit_reported", key.id, facts=facts)
    return draft.decision()


def demand_no_key(
    note: str, keys: Iterable[SealedKey], fingerprint: Callable[[bytes], str]
) -> None:
    """That none of these keys stands in the note, as `fingerprint` knows them again.

    Accounts, codes with a PIN and files are known by all of their fields and not by one of them.
    Raises Refused `invalid-input`: nothing of such a note is kept.
    """
    known = {key.fingerprint for key in keys}
    if known and any(fingerprint(each.encode()) in known for each in _spellings(note)):
        raise Refused(
            "invalid-input",
            "Leave the key itself out of the note: the shop knows which unit it is.",
            field="note",
        )


def _spellings(note: str) -> frozenset[str]:
    """Everything in the note that may be a key, with the signs around it and without."""
    found: set[str] = set()
    for words in (note.split(), [word for word in _BETWEEN.split(note) if word]):
        for first in range(len(words)):
            for end in range(first + 1, min(first + WORDS_OF_A_KEY, len(words)) + 1):
                run = " ".join(words[first:end])
                found |= {run, run.strip(_AROUND)}
    return frozenset(run for run in found if len(run) >= LEAST_OF_A_KEY)
