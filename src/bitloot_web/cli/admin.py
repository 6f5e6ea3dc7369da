"""`bitloot admin`: who owns the shop. Who can run this owns it already."""

from datetime import timedelta
from typing import Final

import rich_click as click

# Ten years: whoever wants a key for longer wants another one then.
MOST_DAYS: Final = 3650


@click.group()
def admin() -> None:
    """Make somebody an owner, an admin or support; give their programs a key."""


@admin.command(epilog="Example: KEY=$(bitloot admin create owner@example.com --with-key reports)")
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice(["owner", "admin", "support"]),
    default="owner",
    show_default=True,
    help="What they may do.",
)
@click.option("--with-key", "name", help="Print a new API key of theirs, under this name.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="PERMISSION",
    help="What the key opens, such as orders.read; again for more. Left out: all they may do.",
)
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    help="After how many days the key ends. Left out: BITLOOT_LIMIT_API_KEY_LIFE, a year.",
)
def create(
    email: str, role: str, name: str | None, scopes: tuple[str, ...], days: int | None
) -> None:
    """Give a role to whoever reads the mailbox EMAIL; they sign in with a code sent there.

    A second run changes nothing, and takes no role away. A key is printed once, alone on standard
    output; no later run can show it again.
    """
    from bitloot.domain.errors import Refused
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration
    from bitloot_web.staffing import (
        SameNameError,
        appoint,
        issue_key,
        permissions_named,
        role_named,
    )

    if scopes and name is None:
        raise click.UsageError("--scope says what a key opens: name one by --with-key")
    if days and name is None:
        raise click.UsageError("--days says when a key ends: name one by --with-key")
    life = None if days is None else timedelta(days=days)
    try:
        opening = permissions_named(scopes)
    except ValueError as error:
        raise click.UsageError(f"--scope: {error}") from None

    async def make(configuration: Configuration) -> None:
        async with open_shop(configuration) as opened:
            person = await appoint(opened.shop, email, role_named(role))
            now = "was already" if person.roles == person.before else "is now"
            told = f"{email} {now} {' and '.join(person.roles)} ({person.user_id})"
            click.echo(f"{told}; sign in with a code by e-mail", err=name is not None)
            if person.state == "suspended":
                click.echo("they are suspended: nobody signs in until they are let in", err=True)
            if name is not None:
                made = await issue_key(opened.shop, person, name, opening, life)
                click.echo(f"the key {made.key.name!r} opens {' '.join(made.key.scopes)}", err=True)
                click.echo(f"until {made.key.expires_at:%Y-%m-%d %H:%M} UTC", err=True)
                click.echo("it is shown once, so keep it where your program finds it:", err=True)
                click.echo(made.text)

    try:
        run_once(make)
    except Refused as no:
        raise click.ClickException(no.detail) from None
    except SameNameError as error:
        back = f"take that one back by DELETE /v1/admin/api-keys/{error.key_id}"
        raise click.ClickException(f"{error}; give another name, or {back}") from None
