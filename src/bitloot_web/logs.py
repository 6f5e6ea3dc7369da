"""How records become lines: one chain for structlog and for the standard library alike.

Every record, whoever wrote it, passes the redactor as the last step before it is rendered. An
exception is told by its type and the lines it went through, without local variables; its own text
is told only for types that never quote data, because anybody's exception may quote anything.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Final, Literal, TextIO, TypeAlias, cast

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, WrappedLogger

from bitloot_web.redaction import MASK, Redactor

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Format: TypeAlias = Literal["json", "console"]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

# Which moment a record tells is the log's own affair.
STAMP: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)
MAX_FRAMES: Final = 20
# They tell of every request, with its whole address.
QUIET: Final = ("httpx", "httpcore", "urllib3", "taskiq.receiver.receiver")
# Their texts name code or our own stable words, never data.
SPEAKING: Final = frozenset(
    {
        *("AttributeError", "ImportError", "ModuleNotFoundError", "NameError", "TypeError"),
        *("ConnectionRefusedError", "ConnectionResetError", "TimeoutError", "Duplicate"),
        *("Unavailable", "Rejected", "OutcomeUnknown", "StoreUnavailable", "Refused"),
    }
)
_LOST: Final = '{"event":"log_record_lost","level":"error"}'


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; a record that cannot be rendered is counted by a line, never shown raw."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        del record
        if not isinstance(sys.exc_info()[1], OSError):
            self.write(_LOST)

    def write(self, line: str) -> None:
        """One line, whole; none where the stream itself is lost: there is nowhere to tell it."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError):
            self.stream.write(line + self.terminator)
            self.flush()


class _Ours:
    """Where structlog's own loggers end: their lines need no record of the standard library."""

    def __init__(self, name: str, lines: _Lines) -> None:
        self.name = name
        self._lines = lines

    def msg(self, line: str) -> None:
        """Write it."""
        self._lines.write(line)

    debug = info = warning = error = critical = msg


def configure_logs(
    *,
    level: Level = "info",
    form: Format = "json",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Set logging up for this process. May be called again; the last call counts.

    `secrets` are values of the settings, masked wherever they appear. `stream` is standard error
    unless another is given.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        STAMP,
    ]
    handler = _Lines(stream or sys.stderr)
    redactor = Redactor(secrets)
    last: list[structlog.typing.Processor] = [
        tell_exception,
        redaction(redactor),
        _as_json if form == "json" else _as_console(handler.stream),
    ]
    is_short = form == "json" and level in {"debug", "info"}
    structlog.configure(
        processors=[*shared, _Rendering(last, handler, redactor if is_short else None)],
        logger_factory=lambda name="", *_: _Ours(str(name), handler),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[meta, *last])
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


class RequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a request. Its fields are in the order of every other record's."""

    method: str
    route: str
    status: int
    ms: float
    event: str = "request"
    request_id: str
    level: Level = "info"
    logger: str
    timestamp: str


class _Rendering:
    """The last steps as one: a record that they cannot render is counted by a line.

    `redactor` where the record of a request needs no more than it: lines of JSON, told from `info`.
    """

    def __init__(
        self,
        steps: Iterable[structlog.typing.Processor],
        lines: _Lines,
        redactor: Redactor | None,
    ) -> None:
        self._steps = tuple(steps)
        self._lines = lines
        self._redactor = redactor

    def __call__(self, logger: WrappedLogger, method: str, record: EventDict) -> str:
        """A record as its line."""
        shown: object = record
        with contextlib.suppress(Exception):
            for step in self._steps:
                shown = step(logger, method, cast("EventDict", shown))
            return str(shown)
        self._lines.write(_LOST)
        raise structlog.DropEvent

    def request(
        self, logger: str, *, request_id: str, method: str, route: str, status: int, ms: float
    ) -> bool:
        """Write the line of a request; False where it has to take the long way."""
        if self._redactor is None:
            return False
        shown = self._redactor.text
        line = RequestLine(
            request_id=shown(request_id),
            method=shown(method),
            route=shown(route),
            status=status,
            ms=ms,
            logger=logger,
            timestamp=STAMP(None, "info", {})["timestamp"],
        )
        self._lines.write(msgspec.json.encode(line).decode())
        return True


def tell_request(
    logger: str, *, request_id: str, method: str, route: str, status: int, ms: float
) -> None:
    """The record of a request, by the short way where there is one: each request pays for it."""
    last = structlog.get_config()["processors"][-1]
    if isinstance(last, _Rendering) and last.request(
        logger, request_id=request_id, method=method, route=route, status=status, ms=ms
    ):
        return
    structlog.get_logger(logger).info(
        "request", request_id=request_id, method=method, route=route, status=status, ms=ms
    )


def tell_exception(logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
    """`exc_info` becomes `exception`: a list of types, frames and harmless texts, causes after."""
    del logger, method
    found = _exc_info(record.pop("exc_info", None))
    record.pop("stack_info", None)
    if found is not None:
        told = ExceptionDictTransformer(show_locals=False, max_frames=MAX_FRAMES)(found)
        record["exception"] = [_told(stack) for stack in told]
    return record


def redaction(
    redactor: Redactor,
) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    """The redactor as the last processor before the renderer."""

    def redact(logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
        del logger, method
        return redactor.fields(record)

    return redact


def _exc_info(given: object) -> ExcInfo | None:
    if given is True:
        given = sys.exc_info()
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[1], BaseException):
        return type(given[1]), given[1], given[1].__traceback__
    return None


def _told(stack: MutableMapping[str, object]) -> dict[str, object]:
    """Of one exception: its type, its text where that is harmless, and where it passed."""
    kind = str(stack["exc_type"])
    told: dict[str, object] = {
        "type": kind,
        "text": stack["exc_value"] if kind in SPEAKING else MASK,
        "frames": [
            f"{frame['filename']}:{frame['lineno']} {frame['name']}"
            for frame in _dicts(stack.get("frames"))
        ],
    }
    members = stack.get("exceptions")
    inner = [
        [_told(nested) for nested in _dicts(member)]
        for member in (members if isinstance(members, list) else [])
    ]
    return told | ({"group": inner} if inner else {})


def _dicts(found: object) -> list[dict[str, object]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _as_json(logger: WrappedLogger, method: str, record: EventDict) -> str:
    del logger, method
    return msgspec.json.encode(record).decode()


def _as_console(
    stream: TextIO,
) -> Callable[[WrappedLogger, str, EventDict], str]:
    """For people: aligned, in colours on a terminal, the frames of an exception below."""
    render = structlog.dev.ConsoleRenderer(colors=stream.isatty())

    def as_console(logger: WrappedLogger, method: str, record: EventDict) -> str:
        exception = record.pop("exception", None)
        lines = [str(render(logger, method, record)), *_below(exception, "    ")]
        return "\n".join(lines)

    return as_console


def _below(exception: object, margin: str) -> list[str]:
    lines: list[str] = []
    for told in _dicts(exception):
        lines.append(f"{margin}{told['type']}: {told['text']}")
        frames = told["frames"]
        lines += [f"{margin}  {frame}" for frame in frames] if isinstance(frames, list) else []
        groups = told.get("group", [])
        for nested in groups if isinstance(groups, list) else []:
            lines += _below(nested, margin + "    ")
    return lines
