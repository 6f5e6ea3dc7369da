"""One finished answer, held whole so that it can be stored, replayed, spoiled or lost."""

import msgspec


class Reply(msgspec.Struct, frozen=True):
    """Status, headers (lower-case names) and the exact body bytes."""

    status: int
    headers: dict[str, str]
    body: bytes

    def with_headers(self, more: dict[str, str]) -> "Reply":
        return Reply(self.status, {**self.headers, **more}, self.body)


def json_reply(status: int, body: object, headers: dict[str, str] | None = None) -> Reply:
    return Reply(
        status,
        {"content-type": "application/json; charset=utf-8", **(headers or {})},
        msgspec.json.encode(body),
    )


def text_reply(status: int, body: str, content_type: str = "text/plain; charset=UTF-8") -> Reply:
    return Reply(status, {"content-type": content_type}, body.encode())
