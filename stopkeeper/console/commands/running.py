"""Commands that set up and run things: init, up, demo, and each process by itself."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from stopkeeper.console.backend import InitWish, PaperWish, StackWish, WorkerWish
from stopkeeper.console.failures import Declined, Exit
from stopkeeper.console.session import Session, command

PORT = click.IntRange(1, 65_535)
FREE_PORT = click.IntRange(0, 65_535)
PRICES = "walk|still|FILE.csv[@START]|mirror:URL"


@command("init", short_help="Write a configuration file.", example=(
    "stopkeeper init\nstopkeeper init --config testnet.toml --mode testnet "
    "--wallet-address 0x0123456789abcdef0123456789abcdef01234567 --private-key-file ./agent_key "
    "--data-dir ./testnet-data"
))  # fmt: skip
@click.option("--account", default="main", show_default=True, metavar="NAME", help="Name of the first account.")
@click.option("--mode", type=click.Choice(["paper", "testnet", "live"]), default="paper", show_default=True)
@click.option("--symbols", default="BTC,ETH,SOL", show_default=True, metavar="A,B,…", help="What may be traded.")
@click.option("--wallet-address", metavar="0x…", help="The account's address (testnet, live).")
@click.option("--private-key-file", metavar="FILE", help="Where the agent's key lies (testnet, live).")
@click.option("--base-url", metavar="URL", help="A proxy or simulator instead of the venue.")
@click.option("--data-dir", default="./stopkeeper-data", show_default=True, metavar="DIR")
def init(
    session: Session,
    *,
    account: str,
    mode: str,
    symbols: str,
    wallet_address: str | None,
    private_key_file: str | None,
    base_url: str | None,
    data_dir: str,
) -> int:
    """Write a configuration file that trades on paper; live must be said. Never overwrites one."""
    if mode != "paper" and (wallet_address is None or private_key_file is None):
        missing = "wallet-address" if wallet_address is None else "private-key-file"
        hint = "the address is the account's own, the key that of an agent (API wallet) it approved"
        raise Declined(f"is missing: mode {mode} trades a real account", field=missing, hint=hint)
    coins = tuple(part.strip() for part in symbols.split(",") if part.strip())
    if not coins:
        raise Declined("names no symbol", field="symbols", value=symbols, hint="for example --symbols BTC,ETH")
    wish = InitWish(
        path=session.config or Path("stopkeeper.toml"),
        account=account,
        venue="hyperliquid",
        mode=mode,
        symbols=coins,
        wallet_address=wallet_address,
        private_key_file=private_key_file,
        base_url=base_url,
        data_dir=data_dir,
    )
    path = session.backend.init(wish)
    if session.json:
        session.give({"config": str(path), "account": account, "mode": mode, "symbols": coins})
    session.say(f"wrote {path}: account {account}, mode {mode}, {', '.join(coins)}")
    if private_key_file is not None and not (path.parent / private_key_file).exists():
        then = "then stopkeeper up, and stopkeeper doctor beside it"
        session.say(f"next: put the agent's key into {private_key_file}, chmod 600, {then}")
    else:
        session.say("next: stopkeeper up")
    return Exit.OK


@command("up", short_help="Run everything on this machine.", example="stopkeeper up")
@click.option("--prices", metavar=PRICES, help="Prices of the paper venue.")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="Seed of the paper venue's walk.")
@click.option(
    "--workers", type=click.IntRange(1, 16), metavar="N", help="Worker processes for orders and scans (default 2)."
)
def up(session: Session, *, prices: str | None, seed: int | None, workers: int | None) -> int:
    """Run Redis, workers, beat, feed, Flower and (on paper) the paper venue on this machine until Ctrl-C."""
    return session.house.run_stack(StackWish(prices=prices, seed=seed, workers=workers))


@command("demo", short_help="See it keep its promise: a minute on paper.", example="stopkeeper demo")
@click.option("--dir", "directory", default="./demo-data", show_default=True, metavar="DIR", help=(
    "A demo's own directory; one from before is emptied first."
))  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True, metavar="N", help="Seed of the prices.")
@click.option("--pace", type=click.FloatRange(0, 10), default=1, show_default=True, metavar="X", help="0 hurries.")
def demo(session: Session, *, directory: str, seed: int, pace: float) -> int:
    """Run the whole stack on paper, break things on purpose, and end with the venue's own witness report."""
    from stopkeeper.console.demo import run

    return run(session, Path(directory), seed, pace)


@command("worker", short_help="Run a worker process.", example="stopkeeper worker --queues urgent --concurrency 8")
@click.option("--queues", metavar="A,B", help="urgent, orders, scans; default: all.")
@click.option("--concurrency", type=click.IntRange(1, 256), metavar="N", help="Threads.")
@click.option("--name", metavar="NAME", help="Name of the process, for status and Flower.")
def worker(session: Session, *, queues: str | None, concurrency: int | None, name: str | None) -> int:
    """Run a worker process until it is told to end."""
    known = ("urgent", "orders", "scans")
    wanted = tuple(part.strip() for part in queues.split(",")) if queues is not None else known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise Declined("no such queue", field="queues", value=unknown[0], hint=f"known are {', '.join(known)}")
    return session.house.run_worker(WorkerWish(wanted, concurrency, name))


@command("beat", short_help="Run the scheduler.", example="stopkeeper beat")
def beat(session: Session) -> int:
    """Run the scheduler of refresh, sweep and confirmation; a second one waits as a spare."""
    return session.house.run_beat()


@command("feed", short_help="Run streams and ticker.", example="stopkeeper feed")
def feed(session: Session) -> int:
    """Run streams and ticker of every account; a second one waits as a spare."""
    return session.house.run_feed()


@command("flower", short_help="Run the task monitor.", example="stopkeeper flower --port 5555")
@click.option("--port", type=PORT, metavar="N", help="Default: as configured.")
def flower(session: Session, *, port: int | None) -> int:
    """Run Flower, the monitor of the queue, behind its password."""
    return session.house.run_flower(port)


@command("paper", short_help="Run the paper venue by itself.", example=(
    "stopkeeper paper --port 8899 --control-port 8898 --prices walk --seed 1"
))  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS")
@click.option(
    "--port", type=FREE_PORT, default=8899, show_default=True, metavar="N", help="The wire; 0 = any free one."
)
@click.option(
    "--control-port", type=FREE_PORT, default=8898, show_default=True, metavar="N", help="Faults and witness."
)
@click.option("--prices", default="walk", show_default=True, metavar=PRICES)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, metavar="N")
@click.option("--latency-ms", type=click.IntRange(0), default=0, show_default=True, metavar="N")
@click.option("--speed", default="1", show_default=True, metavar="X", help="How much faster than the clock prices run.")
@click.option("--balance", default="10000", show_default=True, metavar="USDC", help="What a new account holds.")
@click.option("--state", metavar="FILE", help="Keep the venue's state here, and go on from it.")
@click.option("--faucet/--no-faucet", default=True, show_default=True, help="Fund an address when it is first seen.")
@click.option("--symbols", metavar="A,B,…", help="NAME or NAME:szDecimals:maxLeverage:price.")
@click.option("--tick-ms", type=click.IntRange(10), default=250, show_default=True, metavar="N")
@click.option("--ready-json", is_flag=True, help="Print one line of JSON with the ports once it listens.")
def paper(session: Session, **typed: Any) -> int:
    """Run the paper venue by itself: Hyperliquid's wire on one port, faults and the witness on another."""
    port, control_port = typed["port"], typed["control_port"]
    if port == control_port != 0:
        raise Declined("must differ from the port", field="control-port", value=str(control_port))
    symbols, state = typed.pop("symbols"), typed.pop("state")
    wish = PaperWish(
        **{
            **typed,
            "speed": _above_zero("speed", typed["speed"]),
            "balance": _above_zero("balance", typed["balance"]),
            "symbols": None if symbols is None else tuple(symbols.split(",")),
            "state": None if state is None else Path(state),
        }
    )
    return session.backend.run_paper(wish)


def _above_zero(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise Declined("must be a number above 0", field=field, value=text, hint=f"for example --{field} 10")
    return number


COMMANDS = (init, up, demo, worker, beat, feed, flower, paper)
