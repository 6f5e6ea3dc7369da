"""Examples of signing in, and of one's own account."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import msgspec

from bitloot_web.api import account, auth, me
from bitloot_web.api.examples.buying import EXAMPLES as BUYING
from bitloot_web.api.examples.names import CURSOR, EMAIL, ORDER_ID, ORDER_NUMBER, TITLE, moment
from bitloot_web.api.sessions import CodeSent
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_USER_ID: Final = "01890a5d-d5a2-7c3b-9d4e-5f6a7b8c9d0e"
_SESSION_ID: Final = "01890a5d-d6b3-7d4c-8e5f-6a7b8c9d0e1f"
_CHALLENGE: Final = "01890a5d-d0e1-7a2b-8c3d-4e5f6a7b8c9d"
_JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJ0eXBlIjoi{}In0.c2lnbmF0dXJl"
_WORDS: Final = "a lantern in the rain"
_LINK: Final = "MDE4OTBhNWQtZTAwMC4xNzcyMDEwMDAw.c2lnbmF0dXJl"
_WEEK: Final = timedelta(days=7)
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"

_CODE_SENT: Final = CodeSent(challenge_id=_CHALLENGE, expires_at=moment(615))
_TOKENS: Final = auth.SessionTokens(
    access_token=_JWT.format("access"),
    access_expires_at=moment(626),
    refresh_token=_JWT.format("refresh"),
    refresh_expires_at=moment(611) + _WEEK,
    user_id=_USER_ID,
    is_new=False,
)
_ME: Final = me.Me(
    id=_USER_ID,
    email=EMAIL,
    name="Ada",
    roles=(),
    has_password=False,
    created_at=moment(611),
    deletion=None,
)
_ROW: Final = me.OwnOrderRow(
    id=ORDER_ID,
    number=ORDER_NUMBER,
    status="fulfilled",
    failure_reason=None,
    total="12.50",
    currency="EUR",
    titles=(TITLE,),
    units=1,
    created_at=moment(600),
    paid_at=moment(607),
    fulfilled_at=moment(608),
)
_DELETION: Final = me.Deletion(requested_at=moment(640), due_at=moment(640) + timedelta(days=30))

EXAMPLES: Final[Mapping[str, Example]] = {
    "requestSignInCode": Example(asked=auth.CodeWanted(email=EMAIL), answered=_CODE_SENT),
    "signInByCode": Example(
        asked=auth.CodeSignIn(email=EMAIL, challenge_id=_CHALLENGE, code="042137"),
        answered=_TOKENS,
    ),
    "signInByPassword": Example(
        asked=auth.PasswordSignIn(email=EMAIL, password=_WORDS),
        answered=_TOKENS,
    ),
    "refreshSession": Example(
        asked=auth.RefreshWanted(refresh_token=_JWT.format("refresh")), answered=_TOKENS
    ),
    "signOut": Example(asked=auth.RefreshWanted(refresh_token=_JWT.format("refresh"))),
    "setPassword": Example(asked=auth.NewPassword(password=_WORDS)),
    "requestResetCode": Example(asked=auth.CodeWanted(email=EMAIL), answered=_CODE_SENT),
    "resetPassword": Example(
        asked=auth.PasswordReset(
            email=EMAIL, challenge_id=_CHALLENGE, code="042137", password=_WORDS
        )
    ),
    "getMe": Example(answered=_ME),
    "changeMe": Example(asked=me.ChangedMe(name="Ada"), answered=_ME),
    "listMyOrders": Example(answered=PageOf((_ROW,), CURSOR)),
    "getMyOrder": Example(answered=BUYING["getOrder"].answered),
    "listMySessions": Example(
        answered=me.OwnSessions(
            (
                me.OwnSession(
                    id=_SESSION_ID,
                    is_current=True,
                    created_at=moment(611),
                    used_at=moment(640),
                    expires_at=moment(640) + _WEEK,
                    user_agent=_AGENT,
                    address="192.0.2.7",
                ),
            )
        )
    ),
    "exportMe": Example(
        answered=me.Export(
            profile=_ME,
            orders=(
                me.ExportedOrder(
                    **msgspec.structs.asdict(_ROW), email=EMAIL, placed_from="192.0.2.7"
                ),
            ),
            sessions=(
                me.OldSession(
                    created_at=moment(611),
                    used_at=moment(640),
                    expires_at=moment(640) + _WEEK,
                    ended_at=None,
                    ended_by=None,
                    user_agent=_AGENT,
                    address="192.0.2.7",
                ),
            ),
            mails=(
                me.OwnMail(
                    kind="order-created",
                    to=EMAIL,
                    state="sent",
                    created_at=moment(600),
                    sent_at=moment(600, 2),
                ),
            ),
            email_changes=(
                me.OldAddressChange(
                    new_email="ada@example.com", created_at=moment(630), state="stopped"
                ),
            ),
            recoveries=(),
            api_keys=(),
        )
    ),
    "requestEmailChange": Example(
        asked=account.NewAddress(email="ada@example.com"), answered=_CODE_SENT
    ),
    "confirmEmailChange": Example(
        asked=account.BothCodes(current_code="042137", new_code="730915")
    ),
    "requestDeletion": Example(answered=_DELETION),
    "getDeletion": Example(answered=_DELETION),
    "cancelDeletionByLink": Example(asked=account.LinkToken(token=_LINK)),
    "stopRecoveryByLink": Example(asked=account.LinkToken(token=_LINK)),
}
