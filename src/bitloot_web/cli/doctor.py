"""`bitloot doctor`: what is wrong, if anything."""

import sys

import rich_click as click


@click.command(epilog="Exits with 0 when all is well, 1 when a part is broken, 2 for settings.")
@click.option("--invariants", is_flag=True, help="Also run every query that must find nothing.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def doctor(*, invariants: bool, as_json: bool) -> None:
    """Check settings, database, schema, Redis, each provider and the key vault."""
    import msgspec

    from bitloot.ports.errors import StoreUnavailable
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.assembly import invariant_watch
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.composition.schema import current, head
    from bitloot_web.diagnosis import (
        Finding,
        examine,
        gateway_findings,
        invariant_findings,
        schema_finding,
    )
    from bitloot_web.plugins import Configuration

    async def look(configuration: Configuration) -> list[Finding]:
        async with open_shop(configuration) as opened:
            near = opened.neighbours
            found = await examine(near.probes)
            if found[0].state == "ok":
                found.append(schema_finding(current(configuration.settings.database_url), head()))
                if invariants and found[-1].state == "ok":
                    watch = invariant_watch(near, opened.shop.metrics)
                    found += invariant_findings(await watch.look())
            return found + gateway_findings(near.gateways)

    try:
        findings = run_once(look)
    except StoreUnavailable:
        findings = [Finding("database", "broken", "went away during the examination")]
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        signs = {"ok": "ok     ", "warning": "warning", "broken": "BROKEN "}
        for each in findings:
            click.echo(f"{signs[each.state]}  {each.part:<14} {each.detail}".rstrip())
    sys.exit(any(each.state == "broken" for each in findings))
