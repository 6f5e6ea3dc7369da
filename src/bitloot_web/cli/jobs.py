"""`bitloot jobs`: the jobs that machines gave up on."""

import sys
from collections.abc import Sequence
from typing import Final

import rich_click as click

MOST: Final = 100


@click.group()
def jobs() -> None:
    """Look through jobs that were given up on; have them tried once more."""


@jobs.command(epilog="Example: bitloot jobs dead --json")
@click.option("--after", help="Go on after the job with this id.")
@click.option("--json", "as_json", is_flag=True, help="The jobs as JSON.")
def dead(after: str | None, *, as_json: bool) -> None:
    """Show the newest 100 jobs that nobody tries any more, and why."""
    import msgspec

    from bitloot.ports.jobs import JobRow
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration

    async def look(configuration: Configuration) -> Sequence[JobRow]:
        async with open_shop(configuration) as opened:
            return await opened.shop.dead_letters.listed(limit=MOST, after=after)

    found = run_once(look)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    for job in found:
        tried = f"{job.attempts} of {job.max_attempts}"
        click.echo(f"{job.id}  {job.kind:<16} {job.ref}  tried {tried}: {job.last_error or '-'}")
    if not found:
        click.echo("no job was given up on")
    elif len(found) == MOST:
        click.echo(f"there may be more: bitloot jobs dead --after {found[-1].id}")


@jobs.command(epilog='Example: bitloot jobs replay 0193… --reason "the store is back"')
@click.argument("job_ids", nargs=-1, required=True, metavar="JOB...")
@click.option("--reason", required=True, help="Why, for the audit log.")
def replay(job_ids: tuple[str, ...], reason: str) -> None:
    """Have each dead JOB tried once more, with fresh attempts. Exits 1 if one is not dead."""
    from bitloot.domain.errors import Refused
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration

    async def again(configuration: Configuration) -> tuple[str, ...]:
        missing = []
        async with open_shop(configuration) as opened:
            for job_id in job_ids:
                try:
                    await opened.shop.dead_letters.replay(job_id, by="cli", reason=reason)
                except Refused:
                    missing.append(job_id)
        return tuple(missing)

    missing = run_once(again)
    for job_id in job_ids:
        state = "is not among the dead jobs" if job_id in missing else "is tried once more"
        click.echo(f"{job_id} {state}", err=job_id in missing)
    sys.exit(bool(missing))
