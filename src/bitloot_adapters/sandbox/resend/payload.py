"""Judges one mail of ``POST /emails`` or of a batch, and gives it back as a draft.

Source: Resend documentation, "Send Email", "Send Batch Emails", "Errors".
"""

import base64
import binascii
import re
from datetime import datetime, timedelta
from typing import Final

import msgspec

from bitloot_adapters.sandbox.resend.config import ApiKey, ResendSandboxConfig, Template
from bitloot_adapters.sandbox.resend.errors import WireError, invalid, missing_field
from bitloot_adapters.sandbox.resend.fields import (
    Body,
    address_list,
    as_array,
    as_object,
    bare_address,
    domain_of,
    moment_field,
    text_field,
)
from bitloot_adapters.sandbox.resend.plain_text import plain_text_of
from bitloot_adapters.sandbox.resend.records import Attachment

_TAG_PART: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLACEHOLDER: Final = re.compile(r"\{\{\{\s*([A-Za-z0-9_]+)\s*\}\}\}")
_TESTING_DOMAIN: Final = "resend.dev"
_BATCH_REFUSES: Final = ("attachments", "scheduled_at")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that was found good; addresses are as they were written."""

    sender: str
    to: list[str]
    subject: str
    html: str | None
    text: str | None
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    headers: dict[str, str]
    attachments: list[Attachment]
    tags: list[tuple[str, str]]
    topic_id: str | None
    template_id: str | None
    scheduled_at: datetime | None


def read_mail(
    payload: object,
    *,
    key: ApiKey,
    config: ResendSandboxConfig,
    at: datetime,
    in_batch: bool = False,
) -> Draft:
    """Raises:
    WireError: the first fault found: 422 for the fields, 403 for the sending domain.
    """
    body = as_object(payload)
    if body is None:
        raise invalid("Each email must be a JSON object.")
    if in_batch:
        for field in _BATCH_REFUSES:
            if body.get(field) is not None:
                raise invalid(f"The `{field}` field is not supported in batch requests.")
    sender = text_field(body, "from")
    if not sender:
        raise missing_field("from")
    to = address_list(body, "to")
    if not to:
        raise missing_field("to") if body.get("to") is None else invalid("`to` must not be empty.")
    subject, html, text, template_id = _contents(body, config)
    draft = Draft(
        sender=sender,
        to=to,
        subject=subject,
        html=html,
        text=text,
        cc=address_list(body, "cc"),
        bcc=address_list(body, "bcc"),
        reply_to=address_list(body, "reply_to"),
        headers=_headers(body),
        attachments=_attachments(body),
        tags=_tags(body),
        topic_id=text_field(body, "topic_id"),
        template_id=template_id,
        scheduled_at=moment_field(
            body, "scheduled_at", at=at, latest=timedelta(days=config.max_schedule_days)
        ),
    )
    _check_sender(draft, key, config)
    return draft


def _contents(
    body: Body, config: ResendSandboxConfig
) -> tuple[str, str | None, str | None, str | None]:
    html, text = text_field(body, "html"), text_field(body, "text")
    subject = text_field(body, "subject")
    template_id = None
    if body.get("template") is not None:
        if html is not None or text is not None:
            raise invalid("`template` cannot be used together with `html` or `text`.")
        template, variables = _template(body["template"], config)
        template_id = template.id
        html, text = _filled(template.html, variables), _filled(template.text, variables)
        subject = subject or _filled(template.subject, variables)
    elif not html and not text:
        raise WireError("missing_required_field", "Missing `html` or `text` field.")
    if not subject:
        raise missing_field("subject")
    if "\r" in subject or "\n" in subject:
        raise invalid("The `subject` field must not contain line breaks.")
    if text is None and html is not None:
        text = plain_text_of(html)
    return subject, html, text, template_id


def _template(value: object, config: ResendSandboxConfig) -> tuple[Template, dict[str, str]]:
    fields = as_object(value)
    if fields is None:
        raise invalid("The `template` field must be an object.")
    wanted = text_field(fields, "id")
    if not wanted:
        raise missing_field("template.id")
    variables = as_object(fields.get("variables", {}))
    if variables is None:
        raise invalid("The `template.variables` field must be an object.")
    for template in config.templates:
        if template.id == wanted:
            return template, {name: str(item) for name, item in variables.items()}
    raise WireError("not_found", "Template not found")


def _filled(text: str | None, variables: dict[str, str]) -> str | None:
    if text is None:
        return None
    return _PLACEHOLDER.sub(lambda found: variables.get(found[1], ""), text)


def _headers(body: Body) -> dict[str, str]:
    value = body.get("headers")
    if value is None:
        return {}
    fields = as_object(value)
    if fields is None:
        raise invalid("The `headers` field must be an object.")
    headers: dict[str, str] = {}
    for name, item in fields.items():
        if not isinstance(item, str) or not _HEADER_NAME.fullmatch(name):
            raise invalid("The `headers` field must map header names to strings.")
        if "\r" in item or "\n" in item:
            raise invalid("The `headers` field must not contain line breaks.")
        headers[name] = item
    return headers


def _attachments(body: Body) -> list[Attachment]:
    value = body.get("attachments")
    if value is None:
        return []
    items = as_array(value)
    if items is None:
        raise invalid("The `attachments` field must be an array.")
    return [_attachment(item) for item in items]


def _attachment(item: object) -> Attachment:
    fields = as_object(item)
    if fields is None:
        raise WireError("invalid_attachment", "Each attachment must be an object.")
    content, path = text_field(fields, "content"), text_field(fields, "path")
    if (content is None) == (path is None):
        raise WireError("invalid_attachment", "Attachment must have either a `content` or `path`.")
    if content is not None:
        try:
            base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as broken:
            raise WireError(
                "invalid_attachment", "Attachment `content` must be a base64 string."
            ) from broken
    if path is not None and not path.startswith(("https://", "http://")):
        raise WireError("invalid_attachment", "Attachment `path` must be a URL.")
    return Attachment(
        filename=text_field(fields, "filename"),
        content_type=text_field(fields, "content_type"),
        content_id=text_field(fields, "content_id"),
        content=content,
        path=path,
    )


def _tags(body: Body) -> list[tuple[str, str]]:
    value = body.get("tags")
    if value is None:
        return []
    items = as_array(value)
    if items is None:
        raise invalid("The `tags` field must be an array.")
    tags: list[tuple[str, str]] = []
    for item in items:
        fields = as_object(item)
        if fields is None:
            raise invalid("Each tag must be an object with `name` and `value`.")
        name, content = text_field(fields, "name"), text_field(fields, "value")
        if name is None or content is None:
            raise missing_field("tags[].name" if name is None else "tags[].value")
        if not _TAG_PART.fullmatch(name) or not _TAG_PART.fullmatch(content):
            raise invalid(
                "Tags should only contain ASCII letters, numbers, underscores, or dashes, "
                "and have at most 256 characters."
            )
        tags.append((name, content))
    return tags


def _check_sender(draft: Draft, key: ApiKey, config: ResendSandboxConfig) -> None:
    bare = bare_address(draft.sender)
    if bare is None:
        raise WireError(
            "invalid_from_address",
            "Invalid `from` field. The email address needs to follow the "
            "`email@example.com` or `Name <email@example.com>` format.",
        )
    domain = domain_of(bare)
    if domain == _TESTING_DOMAIN:
        known = {config.owner_email.lower()}
        strangers = [
            item
            for item in (bare_address(text) or text for text in draft.to + draft.cc + draft.bcc)
            if item.lower() not in known and domain_of(item) != _TESTING_DOMAIN
        ]
        if strangers:
            raise WireError(
                "validation_error",
                "You can only send testing emails to your own email address "
                f"({config.owner_email}).",
                status=403,
            )
    elif domain not in {item.lower() for item in config.verified_domains}:
        raise WireError(
            "validation_error",
            f"The {domain} domain is not verified. Please, add and verify your domain on "
            "https://resend.com/domains",
            status=403,
        )
    if key.domain is not None and key.domain.lower() != domain:
        raise WireError(
            "invalid_permission", f"This API key is not authorized to send emails from {domain}"
        )
