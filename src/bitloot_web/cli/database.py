"""`bitloot migrate`, `seed` and `sync`: the schema, and what stands on the shelves."""

import rich_click as click


@click.command(epilog="Safe to run again: nothing happens where the schema is up to date.")
@click.option("--check", is_flag=True, help="Only say whether it is up to date; 1 when it is not.")
def migrate(*, check: bool) -> None:
    """Bring the database to the newest schema."""
    from bitloot_web.cli.running import configured
    from bitloot_web.composition.schema import current, head, upgrade

    url = configured().settings.database_url
    before, newest = current(url), head()
    if before == newest:
        click.echo(f"up to date at {newest}")
        return
    if check:
        click.echo(f"at {before or 'nothing'}, newest is {newest}", err=True)
        raise SystemExit(1)
    upgrade(url)
    click.echo(f"migrated from {before or 'nothing'} to {newest}")


@click.command(epilog="Example: bitloot seed --keys 50")
@click.option("--keys", type=click.IntRange(1, 10_000), default=20, show_default=True)
def seed(keys: int) -> None:
    """Put three products of the shop's own on the shelf, with freshly made keys for each."""
    from bitloot_web.cli.running import run_once
    from bitloot_web.shelves import seed_own_stock

    for title, imported in run_once(lambda settings: seed_own_stock(settings, keys)):
        click.echo(f"{title}: {imported} keys")


@click.command(epilog="Example: bitloot sync kinguin")
@click.argument("supplier", default="kinguin")
@click.option(
    "--confirm-vanished",
    is_flag=True,
    help="Take out of stock what is not listed any more, however much that is.",
)
def sync(supplier: str, *, confirm_vanished: bool) -> None:
    """Read a supplier's catalogue into the shop, page by page.

    A run that would take far too much out of stock is given up: exit code 1 says so.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    from bitloot.usecases.catalog import Synced
    from bitloot_web.cli.running import run_once
    from bitloot_web.shelves import sync_catalogue

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(f"reading {supplier}", total=None)

        def told(synced: Synced) -> None:
            progress.update(task, completed=synced.products)

        synced = run_once(
            lambda settings: sync_catalogue(
                settings, supplier, told, is_vanishing_confirmed=confirm_vanished
            )
        )
    click.echo(
        f"{synced.products} products on {synced.pages} pages: "
        f"{synced.new} new, {synced.changed} changed"
    )
    if synced.fault is not None:
        raise click.ClickException(synced.fault)
