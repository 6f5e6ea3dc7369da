"""`bitloot config`: what the environment says, checked, without its secrets."""

import sys

import rich_click as click


@click.command(epilog="Exits with 2 when a setting is missing, malformed or unknown.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
@click.option("--markdown", is_flag=True, help="Every setting there is, as docs/settings.md.")
def config(as_json: bool, markdown: bool) -> None:
    """Check every setting and show what is in force; secrets are shown as ****."""
    import msgspec

    from bitloot_web.cli.source import source
    from bitloot_web.plugins import configure, shown
    from bitloot_web.settings import SettingsError
    from bitloot_web.settings_table import settings_table

    if markdown:
        click.echo(settings_table(), nl=False)
        return
    try:
        configuration = configure(source())
    except SettingsError as error:
        if as_json:
            click.echo(msgspec.json.encode({"faults": error.faults}).decode())
            sys.exit(2)
        raise
    settings = shown(configuration)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(settings)).decode())
        return
    width = max(map(len, settings))
    for name, value in settings.items():
        click.echo(f"{name:<{width}}  {value}")
