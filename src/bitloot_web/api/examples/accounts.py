"""Examples of looking after accounts, and of keys for machines."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from bitloot_web.api.admin import api_keys, recoveries, users
from bitloot_web.api.examples.names import CURSOR, EMAIL, moment
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_YEAR: Final = timedelta(days=365)
_USER_ID: Final = "01890a5d-d5a2-7c3b-9d4e-5f6a7b8c9d0e"
_KEY_ID: Final = "01890a5d-d7c4-7e5d-9f60-7b8c9d0e1f2a"
_OWNER: Final = "01890a5d-d8d5-7f6e-8a71-8c9d0e1f2a3b"
_ACCOUNT: Final = users.Account(
    id=_USER_ID,
    email=EMAIL,
    name="Ada",
    roles=("support",),
    state="active",
    suspended_reason=None,
    has_password=False,
    created_at=moment(611),
    deleted_at=None,
    deletion=None,
    version=2,
)
_PROOFS: Final = (
    recoveries.ProofGiven(kind="order-number", note="named BL7K3M9Q2X"),
    recoveries.ProofGiven(kind="purchase-date", note="to the day"),
)
_RECOVERY: Final = recoveries.RecoveryShown(
    id="01890a5d-d9e6-7a7f-9b82-9d0e1f2a3b4c",
    user_id=_USER_ID,
    new_email="ada@example.com",
    proofs=_PROOFS,
    opened_by=f"user/{_OWNER}",
    opened_at=moment(650),
    ready_at=moment(650) + timedelta(days=1),
    state="open",
)
_PREFIX: Final = "5f0c81ad"

EXAMPLES: Final[Mapping[str, Example]] = {
    "adminListUsers": Example(answered=PageOf((_ACCOUNT,), CURSOR)),
    "adminGetUser": Example(answered=_ACCOUNT),
    "adminSetRoles": Example(asked=users.NewRoles(roles=("support",)), answered=_ACCOUNT),
    "adminSuspendUser": Example(
        asked=users.WhySuspended(reason="Keys were resold."), answered=_ACCOUNT
    ),
    "adminUnsuspendUser": Example(answered=_ACCOUNT),
    "adminSignOutUser": Example(answered=_ACCOUNT),
    "adminRestoreUser": Example(answered=_ACCOUNT),
    "adminListRecoveries": Example(answered=recoveries.Recoveries((_RECOVERY,))),
    "adminStartRecovery": Example(
        asked=recoveries.NewRecovery(email="ada@example.com", proofs=_PROOFS), answered=_RECOVERY
    ),
    "adminListApiKeys": Example(
        answered=PageOf(
            (
                api_keys.MachineKey(
                    id=_KEY_ID,
                    name="Stock of the till",
                    prefix=_PREFIX,
                    scopes=("inventory.read",),
                    created_by=_OWNER,
                    created_at=moment(660),
                    expires_at=moment(660) + _YEAR,
                    last_used_at=None,
                    revoked_at=None,
                ),
            ),
            CURSOR,
        )
    ),
    "adminCreateApiKey": Example(
        asked=api_keys.NewMachineKey(name="Stock of the till", scopes=("inventory.read",)),
        answered=api_keys.MadeMachineKey(
            id=_KEY_ID,
            key=f"blk_{_PREFIX}_{'0a' * 32}",
            name="Stock of the till",
            prefix=_PREFIX,
            scopes=("inventory.read",),
            expires_at=moment(660) + _YEAR,
        ),
    ),
}
