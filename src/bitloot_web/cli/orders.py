"""`bitloot orders`: one order from its events."""

import sys

import rich_click as click


@click.group()
def orders() -> None:
    """Look into orders; rebuild one from its events."""


@orders.command(epilog="Example: bitloot orders replay BL7Q2MZK4T")
@click.argument("order")
@click.option("--json", "as_json", is_flag=True, help="The rebuilt rows as JSON.")
def replay(order: str, *, as_json: bool) -> None:
    """Rebuild ORDER (number or id) from its events and compare it with its rows."""
    import msgspec

    from bitloot.domain.decision import Event, fold
    from bitloot.domain.replay import differences
    from bitloot_web.cli.running import run_once
    from bitloot_web.composition.opening import open_shop
    from bitloot_web.plugins import Configuration

    async def rebuild(configuration: Configuration) -> tuple[tuple[Event, ...], tuple[str, ...]]:
        async with open_shop(configuration) as opened:
            desk = opened.shop.views.desk
            order_id = await desk.order_id_of_number(order) or order
            file = await desk.file(order_id)
            if file is None:
                raise click.ClickException(f"there is no order {order}")
            events = await desk.events(order_id)
            return events, differences(file, await desk.ledger(order_id), events)

    events, found = run_once(rebuild)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(fold(events))).decode())
    else:
        for event in events:
            facts = " ".join(f"{name}={value}" for name, value in event.facts.items())
            click.echo(f"{event.seq:>4}  {event.at:%Y-%m-%d %H:%M:%S}  {event.kind:<20} {facts}")
    for line in found:
        click.echo(line, err=True)
    if not as_json:
        click.echo("the events give the rows" if not found else "the rows differ from the events")
    sys.exit(bool(found))
