"""The goods themselves: the same key id always has the same serial."""

import base64
import struct
import zlib

from bitloot_adapters.sandbox.kinguin.draw import Draw

_SYMBOLS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
TEXT_STYLES = ("dashes", "dashes", "dashes", "dashes", "uuid", "licence", "url")
IMAGE_MEDIA = ("image/png", "image/jpeg", "image/gif")

_JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_JPEG_TAIL = (
    b"\xff\xdb\x00\x43\x00" + b"\x01" * 64  # quantisation
    + b"\xff\xc0\x00\x0b\x08\x00\x01\x00\x01\x01\x01\x11\x00"  # baseline, 1x1, one component
    + b"\xff\xc4\x00\x14\x00\x01" + bytes(16)  # DC codes: "0" is category 0
    + b"\xff\xc4\x00\x14\x10\x01" + bytes(16)  # AC codes: "0" is end of block
    + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x3f\xff\xd9"
)  # fmt: skip


def serial(key_id: str, media: str, style: str) -> str:
    """The serial as the keys endpoint gives it: text, or an image in base64.

    `style` is one of `TEXT_STYLES` and matters to text only.
    """
    draw = Draw("serial", key_id)
    match media:
        case "image/png":
            return base64.b64encode(_png(draw)).decode()
        case "image/gif":
            return base64.b64encode(_gif(draw)).decode()
        case "image/jpeg":
            return base64.b64encode(_jpeg(key_id)).decode()
        case _:
            return _text(draw, style)


def _text(draw: Draw, style: str) -> str:
    match style:
        case "licence":
            code = "-".join(_group(draw, 6) for _ in range(5))
            number = draw.below(10**6)
            return (
                f"Lizenzschlüssel / Licence key:\r\n{code}\r\n\r\n"
                f"Licensee no.: {number:06d}\r\n"
                "1. Install the application and start it as administrator.\n"
                "2. Choose “Help, Activate” and enter the key above.\n"
                "3. If asked for a server, leave the field empty.\n\n"
                + "".join(f"{_group(draw, 64)}\n" for _ in range(8))
                + "-- end of licence --"
            )
        case "url":
            return f"https://redeem.kinguin.example/claim?code={_group(draw, 24)}&lang=en"
        case "uuid":
            digits = "".join(draw.pick("0123456789abcdef") for _ in range(32))
            return "-".join(
                (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]),
            )
        case _:
            return "-".join(_group(draw, 5) for _ in range(3))


def _group(draw: Draw, length: int) -> str:
    return "".join(draw.pick(_SYMBOLS) for _ in range(length))


def _png(draw: Draw) -> bytes:
    """An 8x8 picture in true colour."""
    rows = b"".join(b"\x00" + bytes(draw.below(256) for _ in range(24)) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _gif(draw: Draw) -> bytes:
    """A 1x1 picture with a palette of two colours."""
    palette = bytes(draw.below(256) for _ in range(6))
    return (
        b"GIF89a\x01\x00\x01\x00\x80\x00\x00"
        + palette
        + b"\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b"
    )


def _jpeg(key_id: str) -> bytes:
    """A grey 1x1 picture with the key id as its comment."""
    comment = key_id.encode()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    return _JPEG_HEAD + segment + _JPEG_TAIL
