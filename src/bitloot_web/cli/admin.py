"""`bitloot admin`: who owns the shop. Who can run this owns it already."""

import rich_click as click


@click.group()
def admin() -> None:
    """Make somebody an owner, an admin or support."""


@admin.command(epilog="Example: bitloot admin create owner@example.com")
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice(["owner", "admin", "support"]),
    default="owner",
    show_default=True,
    help="What they may do.",
)
def create(email: str, role: str) -> None:
    """Give a role to whoever reads the mailbox EMAIL; they sign in with a code sent there."""
    from bitloot.domain.errors import Refused
    from bitloot.domain.roles import PERMISSIONS, Actor, Role
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration

    names: dict[str, Role] = {"owner": "owner", "admin": "admin", "support": "support"}

    async def appoint(configuration: Configuration) -> str:
        async with open_shop(configuration) as opened:
            actor = Actor(name="cli", permissions=PERMISSIONS)
            return await opened.shop.user_desk.appoint(email, [names[role]], actor=actor)

    try:
        user_id = run_once(appoint)
    except Refused as no:
        raise click.ClickException(no.detail) from None
    click.echo(f"{email} is {role} ({user_id}); sign in with a code by e-mail")
