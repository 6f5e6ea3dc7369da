"""`bitloot keys`: keys of the shop's own, and the key that encrypts them all."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import rich_click as click

MOST_NAMED: Final = 100


@click.group()
def keys() -> None:
    """Import keys of your own; rotate the key-encryption key."""


@keys.command(
    name="import",
    epilog="Example: bitloot keys import lantern-keeper-deluxe keys.txt --cost 7.50 --batch may",
)
@click.argument("product")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cost", required=True, help="What a key cost, in EUR, such as 7.50.")
@click.option("--batch", required=True, help="A name for this import.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def import_keys(product: str, file: Path, cost: str, batch: str, *, as_json: bool) -> None:
    """Take in a text file with one key a line for PRODUCT (its slug or id)."""
    import msgspec

    from bitloot.domain.errors import Refused
    from bitloot.domain.money import BadMoney, parse_eur
    from bitloot_web.cli.running import run_once
    from bitloot_web.shelves import import_file

    try:
        price = parse_eur(cost)
        report = run_once(lambda it: import_file(it, product, file.read_bytes(), price, batch))
    except BadMoney as error:
        raise click.UsageError(f"--cost: {error}") from None
    except Refused as error:
        raise click.ClickException(error.detail) from None
    if as_json:
        click.echo(msgspec.json.encode(report).decode())
        return
    click.echo(f"{report.imported} keys imported")
    for line in report.refused:
        click.echo(f"  line {line.number}: {line.outcome}", err=True)


@keys.command(epilog="Put the new key first in BITLOOT_<VAULT>_KEKS, keep the old one after it.")
def rotate() -> None:
    """Wrap every data key under the first key-encryption key; the shop may go on selling.

    A key that does not open is left as it is and named; the exit code is 1 then. It may be broken
    off and run again at any time.
    """
    from bitloot.domain.errors import Refused
    from bitloot_web.cli.running import run_once
    from bitloot_web.key_rotation import rotate_keys

    try:
        rotation = run_once(rotate_keys)
    except Refused as error:
        raise click.ClickException(error.detail) from None
    if not rotation.unreadable:
        click.echo(f"{rotation.rotated} keys rotated; the old key-encryption key can be removed")
        return
    click.echo(f"{rotation.rotated} keys rotated")
    click.echo("\n".join(unreadable_told(rotation.unreadable)), err=True)
    sys.exit(1)


def unreadable_told(ids: Sequence[str]) -> list[str]:
    """What a person has to know of keys that do not open, in lines; at most `MOST_NAMED` ids."""
    return [
        f"{len(ids)} keys do not open under any key-encryption key of the settings, and stay:",
        *(f"  {key_id}" for key_id in ids[:MOST_NAMED]),
        *([f"  and {len(ids) - MOST_NAMED} more"] if len(ids) > MOST_NAMED else []),
        "Keep the old key-encryption key. If one is missing in BITLOOT_<VAULT>_KEKS, put it back;",
        "a row that was damaged comes from a backup. Then run it again: only the rest is done.",
    ]
