"""Reading along with PostgreSQL's wire protocol to know when a commit is on its way.

PostgreSQL manual, "Frontend/Backend Protocol". A transaction commits by a statement COMMIT, or,
when none is open, at the end of a Query or at the Sync after statements that write.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

WRITES: Final = re.compile(r"\b(INSERT INTO|(?<!FOR )(?<!KEY )UPDATE|DELETE FROM)\b", re.IGNORECASE)
READY: Final = b"Z"
IDLE: Final = b"I"


@dataclass
class Messages:
    """Cuts one direction of a connection into messages of a type and a body.

    The first message of a client carries no type.
    """

    has_startup: bool
    rest: bytes = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.rest += chunk
        while True:
            skip = 0 if self.has_startup else 1
            if len(self.rest) < skip + 4:
                return
            end = skip + int.from_bytes(self.rest[skip : skip + 4])
            if len(self.rest) < end:
                return
            kind, body = self.rest[:skip], self.rest[skip + 4 : end]
            self.rest = self.rest[end:]
            self.has_startup = False
            yield kind, body


@dataclass
class Commits:
    """One connection. `asked` gives the statements of each commit as it is sent; `is_answered`
    tells whether the server has answered all that was asked.
    """

    client: Messages = field(default_factory=lambda: Messages(has_startup=True))
    server: Messages = field(default_factory=lambda: Messages(has_startup=False))
    prepared: dict[bytes, str] = field(default_factory=dict)
    cycle: list[str] = field(default_factory=list)
    transaction: list[str] = field(default_factory=list)
    status: bytes = IDLE
    waiting: int = 1

    def asked(self, chunk: bytes) -> list[str]:
        """The text of every transaction that this chunk commits."""
        found = []
        for kind, body in self.client.feed(chunk):
            if kind == b"P":
                name, _, rest = body.partition(b"\0")
                self.prepared[name] = rest.partition(b"\0")[0].decode()
            elif kind == b"B":
                name = body.partition(b"\0")[2].partition(b"\0")[0]
                self.cycle.append(self.prepared.get(name, ""))
            elif kind == b"Q":
                self.cycle.append(body.rstrip(b"\0").decode())
            if kind in {b"Q", b"S"}:
                self.waiting += 1
                found += self._end_of_cycle()
        return found

    def heard(self, chunk: bytes) -> None:
        """What the server said."""
        for kind, body in self.server.feed(chunk):
            if kind == READY:
                self.status = body
                self.waiting -= 1

    @property
    def is_answered(self) -> bool:
        return self.waiting <= 0

    def _end_of_cycle(self) -> list[str]:
        words = [(text.split(maxsplit=1) or [""])[0].rstrip(";").upper() for text in self.cycle]
        is_alone = self.status == IDLE and "BEGIN" not in words
        self.transaction += self.cycle
        self.cycle = []
        is_commit = "COMMIT" in words or (is_alone and any(map(WRITES.search, self.transaction)))
        whole = "\n".join(self.transaction)
        if is_commit or is_alone or "ROLLBACK" in words:
            self.transaction = []
        return [whole] if is_commit else []
