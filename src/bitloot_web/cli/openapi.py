"""`bitloot openapi`: the description of the HTTP API."""

import rich_click as click


@click.command(epilog="Example: bitloot openapi > openapi.json")
def openapi() -> None:
    """Print the OpenAPI description of this release as JSON."""
    import msgspec

    from bitloot_web.asgi import openapi_document

    click.echo(msgspec.json.format(openapi_document()).decode())
