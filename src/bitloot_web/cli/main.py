"""`bitloot`: the commands of the shop."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import rich_click as click

# Which module brings each command; it is imported only when the command is used.
COMMANDS: Final = {
    "demo": ("demo", "Run the whole shop on this machine, with stand-in providers."),
    "serve": ("serving", "Serve the HTTP API."),
    "worker": ("serving", "Run jobs: settle payments, buy and deliver keys, send mails."),
    "scheduler": ("serving", "Insert the jobs that are due by the clock."),
    "sandbox": ("sandboxes", "Run a stand-in of a provider."),
    "migrate": ("database", "Bring the database to the newest schema."),
    "seed": ("database", "Put own products and keys on the shelves, for trying out."),
    "sync": ("database", "Read a supplier's catalogue into the shop."),
    "doctor": ("doctor", "Say what is wrong with the shop, if anything."),
    "config": ("config", "Check the settings and show them without secrets."),
    "keys": ("keys", "Import keys of your own; rotate the key-encryption key."),
    "orders": ("orders", "Look into orders; rebuild one from its events."),
    "jobs": ("jobs", "See jobs that were given up on; have them tried once more."),
    "admin": ("admin", "Make somebody an owner, an admin or support; make API keys."),
    "audit": ("audit", "Check that nobody changed the audit log."),
    "states": ("states", "Print the state tables as Markdown."),
    "openapi": ("openapi", "Print the OpenAPI description."),
    "version": ("version", "Print the version."),
}
_TO_DO: Final = (
    "start it, or mend BITLOOT_DATABASE_URL or BITLOOT_REDIS_URL (`bitloot doctor` says which), and"
    " run the command again."
)


class LazyGroup(click.RichGroup):
    """Knows the names and one-liners of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"bitloot_web.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: bitloot demo",
)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of settings, NAME=value a line; ./bitloot.env is read if it is there.",
)
def cli(env_file: Path | None) -> None:
    """BitLoot: a crypto-only shop for the instant delivery of digital goods."""
    del env_file  # read by the commands that need settings


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 settings or usage, 130 interrupted."""
    from bitloot.ports.errors import StoreUnavailable
    from bitloot_web.settings import SettingsError

    try:
        cli.main(standalone_mode=True)
    except StoreUnavailable as lost:
        reason = f" ({lost})" if str(lost) else ""
        click.echo(f"PostgreSQL or Valkey does not answer{reason}: {_TO_DO}", err=True)
        sys.exit(1)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
