"""`bitloot serve`, `worker` and `scheduler`: the roles of the shop, together or apart."""

import gc

import rich_click as click


@click.command(epilog="Examples: bitloot serve | bitloot serve --all | bitloot serve --port 8080")
@click.option("--host", help="Overrides BITLOOT_HOST.")
@click.option("--port", type=int, help="Overrides BITLOOT_PORT.")
@click.option("--all", "everything", is_flag=True, help="Worker and scheduler in this process too.")
def serve(host: str | None, port: int | None, *, everything: bool) -> None:
    """Serve the HTTP API; --all runs every role in this process."""
    _load_without_collecting()
    from bitloot_web.cli.running import run
    from bitloot_web.process_roles import ALL_ROLES

    given = {"BITLOOT_HOST": host, "BITLOOT_PORT": None if port is None else str(port)}
    run(
        ALL_ROLES if everything else frozenset({"web"}),
        {name: value for name, value in given.items() if value is not None},
    )


@click.command(epilog="Run as many as you like: a job is leased by one at a time.")
@click.option("--concurrency", type=int, help="Overrides BITLOOT_WORKER_CONCURRENCY.")
def worker(concurrency: int | None) -> None:
    """Run jobs: settle payments, buy and deliver keys, send mails."""
    _load_without_collecting()
    from bitloot_web.cli.running import run

    extra = {} if concurrency is None else {"BITLOOT_WORKER_CONCURRENCY": str(concurrency)}
    run(frozenset({"worker"}), extra)


@click.command(epilog="Two of them do no harm: each tick is inserted once.")
def scheduler() -> None:
    """Insert the jobs that are due by the clock: reconciliation, invariants, lost work."""
    _load_without_collecting()
    from bitloot_web.cli.running import run

    run(frozenset({"scheduler"}), {})


def _load_without_collecting() -> None:
    """Loading makes many objects and no garbage; the roles collect again once they are there."""
    gc.disable()
