"""`bitloot demo`: the whole shop on this machine, and one purchase walked through it."""

from pathlib import Path

import rich_click as click


@click.command(
    epilog="Needs no Docker and no root. The data stays in --data; a second start reuses it."
)
@click.option("--once", is_flag=True, help="Exit after the purchase: 0, or 1 with a reason.")
@click.option("--port", default=8000, show_default=True, help="The shop's port, if it is free.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var/demo"),
    show_default=True,
)
def demo(*, once: bool, port: int, data: Path) -> None:
    """Start services, stand-ins and shop; sell one supplier's key and one of our own."""
    import asyncio

    from bitloot.ports.errors import OutcomeUnknown, Rejected, StoreUnavailable, Unavailable
    from bitloot_web.demo.run import run_demo
    from bitloot_web.demo.services import DemoError
    from bitloot_web.devservices import DevServiceError

    try:
        asyncio.run(run_demo(data.resolve(), port=port, once=once))
    except (DemoError, DevServiceError) as error:
        raise click.ClickException(str(error)) from None
    except (OutcomeUnknown, Rejected, StoreUnavailable, Unavailable) as error:
        told = " ".join(str(part) for part in error.args if part)
        raise click.ClickException(f"{type(error).__name__}: {told}") from None
    except OSError as error:
        if error.filename is None:
            raise
        raise click.ClickException(f"{error.strerror}: {error.filename}") from None
    except KeyboardInterrupt:
        click.echo("stopped")
