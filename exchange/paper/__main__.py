"""`python -m exchange.paper`: start the paper venue from a shell. The command `stopkeeper paper` takes the same
options."""

from __future__ import annotations

import logging
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from exchange.paper.errors import PaperError
from exchange.paper.server import PaperOptions, run


def _decimal(name: str, text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise PaperError(f"{name} is {text!r}: it must be a number") from error


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8899, show_default=True, help="0 = any free port")
@click.option("--control-port", default=8898, show_default=True, help="loopback only; 0 = any free port")
@click.option("--prices", default="walk", show_default=True, help="walk, still, FILE.csv[@START] or mirror:URL")
@click.option("--seed", default=1, show_default=True)
@click.option("--latency-ms", default=0, show_default=True)
@click.option("--speed", default="1", show_default=True, help="scales walk and replay")
@click.option("--balance", default="10000", show_default=True, help="USDC of a new account")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="file to keep the state in")
@click.option(
    "--faucet/--no-faucet", default=True, show_default=True, help="fund an address when it is first asked about"
)
@click.option("--symbols", help="comma-separated; NAME or NAME:szDecimals:maxLeverage:price")
@click.option("--tick-ms", default=250, show_default=True)
@click.option("--ready-json", is_flag=True, help="print one JSON line with the ports once listening")
def main(
    host: str,
    port: int,
    control_port: int,
    prices: str,
    seed: int,
    latency_ms: int,
    speed: str,
    balance: str,
    state: Path | None,
    faucet: bool,  # noqa: FBT001 (click passes options by name)
    symbols: str | None,
    tick_ms: int,
    ready_json: bool,  # noqa: FBT001
) -> None:
    """Run the paper venue."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        options = PaperOptions(
            host=host,
            port=port,
            control_port=control_port,
            prices=prices,
            seed=seed,
            latency_ms=latency_ms,
            speed=_decimal("speed", speed),
            balance=_decimal("balance", balance),
            state=state,
            faucet=faucet,
            symbols=tuple(symbols.split(",")) if symbols else None,
            tick_ms=tick_ms,
            ready_json=ready_json,
        )
        sys.exit(run(options))
    except PaperError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
