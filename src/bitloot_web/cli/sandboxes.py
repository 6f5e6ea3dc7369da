"""`bitloot sandbox`: a provider's stand-in as a server of its own."""

from pathlib import Path

import rich_click as click

PORTS = {"nowpayments": 9101, "kinguin": 9102, "resend": 9103, "turnstile": 9104}


@click.command(
    epilog="Examples: bitloot sandbox kinguin --port 9102 | "
    "bitloot sandbox nowpayments --config '{\"autopay_after\": 5}'"
)
@click.argument("name", type=click.Choice(tuple(PORTS)))
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=int, help="9101 NOWPayments, 9102 Kinguin, 9103 Resend, 9104 Turnstile."
)
@click.option(
    "--config", default="{}", help="A JSON object, or @FILE with one; the fields of its config."
)
def sandbox(name: str, host: str, port: int | None, config: str) -> None:
    """Run a stand-in of NOWPayments, Kinguin, Resend or Turnstile, with a door at /_control."""
    import uvicorn

    from bitloot_web.composition.sandboxes import BadSandboxConfigError, sandbox_app

    try:
        text = Path(config[1:]).read_bytes() if config.startswith("@") else config.encode()
        app = sandbox_app(name, text)
    except (OSError, BadSandboxConfigError) as error:
        raise click.UsageError(f"--config: {error}") from None
    port = port or PORTS[name]
    click.echo(f"{name} sandbox on http://{host}:{port} (control door: /_control)")
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
