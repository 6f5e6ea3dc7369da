"""`bitloot version`."""

import rich_click as click


@click.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    click.echo(installed("bitloot"))
