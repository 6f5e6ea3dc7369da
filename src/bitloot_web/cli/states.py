"""`bitloot states`: the state tables for people."""

import rich_click as click


@click.command(epilog="docs/states.md is what this prints; a test fails when they differ.")
def states() -> None:
    """Print every state table as Markdown with a diagram."""
    from bitloot.domain.state_tables import state_tables

    click.echo(state_tables(), nl=False)
