"""Reading and answering calls of the control door."""

from typing import TypeVar

import msgspec
from litestar import Response
from litestar.enums import MediaType

T = TypeVar("T", bound=msgspec.Struct)


class ControlError(Exception):
    """A control call that cannot be carried out; `status` is 400 or 404."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


def read(body: bytes, shape: type[T]) -> T:
    """The body of a control call; nothing at all counts as an empty object.

    :raises ControlError: 400, when it has another shape.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.DecodeError as error:
        raise ControlError(400, str(error)) from None


def done(payload: object) -> Response[bytes]:
    return Response(msgspec.json.encode(payload), status_code=200, media_type=MediaType.JSON)
