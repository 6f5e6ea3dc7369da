"""Rendering of a mail: one text template for each kind, one HTML page around what it says.

The first line of a template is the subject. The rest is plain text in paragraphs; a paragraph
whose lines start with `- ` is a list, one of digits alone is a code to type. The HTML is made from
that same text, so that both always say the same, with every letter escaped.
"""

import functools
import re
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from bitloot.domain.email import ACCOUNT_KINDS, CODE_KINDS, LINK_KINDS, EmailKind
from bitloot.domain.money import CryptoAmount, Eur, eur_text, plain
from bitloot.ports.email_templates import EmailFacts, EmailLine, Rendered, RenderEmail

FOLDER: Final = Path(__file__).parent / "templates"
PAGE: Final = "_page.html"
KINDS: Final[tuple[EmailKind, ...]] = typing.get_args(EmailKind)
MAX_SUBJECT: Final = 150
MAX_FACT: Final = 500
_LIST: Final = "- "
_CODE: Final = re.compile(r"[0-9]{4,10}")
_WEB_ADDRESS: Final = re.compile(r"https?://\S+")
_SPACES: Final = re.compile(r"\n{3,}")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A paragraph of the mail, as the HTML page lays it out."""

    shape: typing.Literal["text", "list", "code", "link"]
    lines: tuple[str, ...]


@functools.cache
def load_email_templates() -> RenderEmail:
    """Read and compile every template, once a process; gives the pure function that renders.

    Raises jinja2.TemplateError when a kind has no template or one cannot be compiled. The function
    raises ValueError for a mail with a code when it has none.
    """
    import jinja2  # by workers only: nobody else writes mails

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {"eur": _eur, "crypto": _crypto, "moment": _moment, "percent": _percent}
    texts = {kind: environment.get_template(f"{kind}.txt") for kind in KINDS}
    page = environment.get_template(PAGE)

    def render(facts: EmailFacts) -> Rendered:
        known = _known(facts)
        subject, _, body = texts[facts.kind].render(known).partition("\n")
        subject = one_line(subject, MAX_SUBJECT)
        text = _SPACES.sub("\n\n", body).strip() + "\n"
        blocks = [_block(each) for each in text.strip().split("\n\n")]
        html = page.render(subject=subject, blocks=blocks, shop_name=known["shop_name"])
        return Rendered(subject=subject, html=html, text=text)

    return render


def render_email(facts: EmailFacts) -> Rendered:
    """Render a mail, with the templates that are loaded for the first. Raises ValueError for a
    mail with a code when it has none.
    """
    return load_email_templates()(facts)


def one_line(text: str, limit: int = MAX_FACT) -> str:
    """Text that cannot break out of its line: no control characters, single blanks."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit].rstrip()


def _known(facts: EmailFacts) -> Mapping[str, object]:
    """The facts as templates see them: every text one line, the code only where it is told."""
    known: dict[str, object] = {
        name: one_line(value) if isinstance(value, str) else value
        for name, value in msgspec.structs.asdict(facts).items()
    }
    known["lines"] = [
        EmailLine(title=one_line(each.title), quantity=each.quantity, is_ready=each.is_ready)
        for each in facts.lines
    ]
    place = (
        "account" if facts.kind in ACCOUNT_KINDS else f"orders/{quote(facts.order_ref, safe='')}"
    )
    known["link"] = f"{facts.public_url.rstrip('/')}/{place}"
    if facts.kind not in LINK_KINDS:
        known["action_link"] = None
    if facts.kind not in CODE_KINDS:
        known["code"] = None
    elif not facts.code:
        raise ValueError("a mail with a code needs one")
    return known


def _block(paragraph: str) -> Block:
    lines = tuple(paragraph.split("\n"))
    if all(line.startswith(_LIST) for line in lines):
        return Block(shape="list", lines=tuple(line.removeprefix(_LIST) for line in lines))
    if len(lines) == 1 and _CODE.fullmatch(paragraph):
        return Block(shape="code", lines=lines)
    if len(lines) == 1 and _WEB_ADDRESS.fullmatch(paragraph):
        return Block(shape="link", lines=lines)
    return Block(shape="text", lines=lines)


def _eur(amount: Eur) -> str:
    return f"{eur_text(amount)} EUR"


def _crypto(value: CryptoAmount) -> str:
    return f"{plain(value.amount)} {one_line(value.asset).upper()}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%d %B %Y, %H:%M UTC")


def _percent(share: Decimal) -> str:
    return f"{plain(share * 100)} percent"
