"""Captured mails: as JSON for tests, and as a plain page for people.

``GET /_control/mailbox?to=<address>`` gives ``{"mails": [...]}`` oldest first; without ``to``
every mail. Attachments come decoded (``size``, and ``text`` when they are UTF-8) beside their
``content_base64``. ``DELETE /_control/mailbox[?to=]`` empties it and gives ``{"removed": n}``;
the API still knows the mails. ``GET /inbox[?to=]`` and ``GET /inbox/{id}`` are HTML.
"""

import base64
from html import escape
from typing import Final

from litestar import MediaType, Response, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from bitloot_adapters.sandbox.resend.fields import bare_address
from bitloot_adapters.sandbox.resend.records import Attachment, Mail
from bitloot_adapters.sandbox.resend.stand_in import StandIn
from bitloot_adapters.sandbox.resend.webhooks import wire_moment

MAX_SHOWN: Final = 200
_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    "<style>body{{font:16px/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}}"
    "article{{border-top:1px solid #ccc;padding:1rem 0}}pre{{white-space:pre-wrap;"
    "background:#f6f6f6;padding:1rem}}dt{{font-weight:bold}}</style></head>"
    "<body><h1>{title}</h1>{body}</body></html>"
)
_SAFE_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "cache-control": "no-store",
}


def captured(stand_in: StandIn, to: str | None) -> list[Mail]:
    """Mails still in the mailbox, oldest first, for one recipient or for all."""
    wanted = None if to is None else to.strip().lower()
    return [
        mail
        for mail in stand_in.state.mails
        if mail.in_mailbox and (wanted is None or wanted in recipients_of(mail))
    ]


def recipients_of(mail: Mail) -> set[str]:
    return {(bare_address(text) or text).lower() for text in mail.to + mail.cc + mail.bcc}


def as_json(mail: Mail) -> dict[str, object]:
    return {
        "id": mail.id,
        "message_id": mail.message_id,
        "team": mail.team,
        "created_at": wire_moment(mail.created_at),
        "scheduled_at": None if mail.scheduled_at is None else wire_moment(mail.scheduled_at),
        "last_event": mail.last_event,
        "from": mail.sender,
        "to": mail.to,
        "cc": mail.cc,
        "bcc": mail.bcc,
        "reply_to": mail.reply_to,
        "subject": mail.subject,
        "html": mail.html,
        "text": mail.text,
        "headers": mail.headers,
        "tags": dict(mail.tags),
        "topic_id": mail.topic_id,
        "template_id": mail.template_id,
        "idempotency_key": mail.idempotency_key,
        "attachments": [_attachment(item) for item in mail.attachments],
    }


def _attachment(item: Attachment) -> dict[str, object]:
    decoded = None if item.content is None else base64.b64decode(item.content)
    try:
        text = None if decoded is None else decoded.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    return {
        "filename": item.filename,
        "content_type": item.content_type,
        "content_id": item.content_id,
        "path": item.path,
        "content_base64": item.content,
        "size": None if decoded is None else len(decoded),
        "text": text,
    }


@get("/_control/mailbox")
async def read_mailbox(
    stand_in: NamedDependency[StandIn], to: FromQuery[str | None] = None
) -> dict[str, object]:
    return {"mails": [as_json(mail) for mail in captured(stand_in, to)]}


@delete("/_control/mailbox", status_code=200)
async def empty_mailbox(
    stand_in: NamedDependency[StandIn], to: FromQuery[str | None] = None
) -> dict[str, int]:
    mails = captured(stand_in, to)
    for mail in mails:
        mail.in_mailbox = False
        stand_in.state.mails.put(mail)
    stand_in.state.commit()
    return {"removed": len(mails)}


@get("/inbox", media_type=MediaType.HTML)
async def inbox_page(
    stand_in: NamedDependency[StandIn], to: FromQuery[str | None] = None
) -> Response[str]:
    """The newest mails, text bodies shown; nothing of a mail is ever run or loaded."""
    mails = captured(stand_in, to)[::-1][:MAX_SHOWN]
    articles = "".join(_article(mail) for mail in mails) or "<p>No mail yet.</p>"
    return _page("Inbox" if to is None else f"Inbox of {to}", articles)


@get("/inbox/{mail_id:str}", media_type=MediaType.HTML)
async def mail_page(stand_in: NamedDependency[StandIn], mail_id: FromPath[str]) -> Response[str]:
    mail = stand_in.state.mails.get(mail_id)
    if mail is None or not mail.in_mailbox:
        return _page("Not found", '<p><a href="/inbox">Inbox</a></p>', 404)
    source = f"<h2>HTML source</h2><pre>{escape(mail.html or '(none)')}</pre>"
    return _page(mail.subject, _article(mail) + source + '<p><a href="/inbox">Inbox</a></p>')


def _page(title: str, body: str, status: int = 200) -> Response[str]:
    return Response(
        _PAGE.format(title=escape(title), body=body),
        status_code=status,
        media_type=MediaType.HTML,
        headers=_SAFE_HEADERS,
    )


def _article(mail: Mail) -> str:
    facts = {
        "From": mail.sender,
        "To": ", ".join(mail.to),
        "At": wire_moment(mail.created_at),
        "State": mail.last_event,
        **mail.headers,
    }
    if mail.attachments:
        facts["Attachments"] = ", ".join(
            item.filename or item.path or "(unnamed)" for item in mail.attachments
        )
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()
    )
    return (
        f'<article><h2><a href="/inbox/{escape(mail.id)}">{escape(mail.subject)}</a></h2>'
        f"<dl>{lines}</dl><pre>{escape(mail.text or '')}</pre></article>"
    )


ROUTES: Final = (read_mailbox, empty_mailbox, inbox_page, mail_page)
