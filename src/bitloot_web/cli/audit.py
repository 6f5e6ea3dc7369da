"""`bitloot audit`: whether the audit log still is what was written."""

import sys

import rich_click as click


@click.group()
def audit() -> None:
    """Check that nobody changed the audit log."""


@audit.command(epilog="Example: bitloot audit verify")
def verify() -> None:
    """Walk the hash chain from its first line; ends with 1 at the first that does not hold.

    The hash of the last line stands at the end: kept elsewhere, it shows later that no line up to
    it was changed.
    """
    from bitloot.domain.audit_chain import AuditStretch, ChainCheck, check
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration

    async def walk(configuration: Configuration) -> tuple[ChainCheck, AuditStretch]:
        async with open_shop(configuration) as opened:
            desk, most, last = opened.shop.views.desk, opened.shop.limits.count_exact, 0
            while True:
                stretch = await desk.audit_chain(after=last, limit=most)
                found = check(stretch, after=last)
                if found.broken_at is not None or not stretch.lines:
                    return found, stretch
                last = found.last

    found, stretch = run_once(walk)
    if found.broken_at is not None:
        click.echo(f"line {found.broken_at} is not what was written", err=True)
        sys.exit(1)
    click.echo(f"{found.last} lines hold together; the last is {stretch.head.digest.hex()}")
