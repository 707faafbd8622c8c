"""The yardstick: what a plain ccxt script does for the same trade, with the same reads, and nothing else."""

from typing import Any

import ccxt


def exchange(url: str, address: str, secret: str) -> Any:
    """Return a ccxt instance that sends no hidden requests, as a careful script would set it up."""
    made = ccxt.hyperliquid(
        {
            "walletAddress": address,
            "privateKey": secret,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["swap"]}, "enableUnifiedMargin": False, "builderFee": False},
        }
    )
    made.urls["api"] = {"public": url, "private": url}
    made.initialize_client = lambda: True
    made.load_markets()
    return made


def enter(made: Any, symbol: str, size: float, mark: float) -> None:
    """Look at positions, orders and fills, send entry and stop as one action, read the orders back."""
    made.fetch_positions([symbol])
    made.fetch_open_orders()
    made.fetch_my_trades(None, made.milliseconds() - 60_000)
    made.create_orders(
        [
            _order(symbol, "buy", size, mark * 1.02, {"timeInForce": "Ioc", "clientOrderId": _cloid(made)}, "limit"),
            _order(symbol, "sell", size, mark * 0.9, _stop(made, mark), "market"),
        ]
    )
    made.fetch_open_orders()


def leave(made: Any, symbol: str, size: float, mark: float) -> None:
    """Close the position and cancel what is left."""
    made.create_order(symbol, "market", "sell", size, mark, {"reduceOnly": True})
    made.cancel_orders([order["id"] for order in made.fetch_open_orders(symbol)], symbol)


def _cloid(made: Any) -> str:
    return "0x" + made.uuid().replace("-", "")


def _stop(made: Any, mark: float) -> dict[str, Any]:
    return {"reduceOnly": True, "stopLossPrice": mark * 0.98, "clientOrderId": _cloid(made)}


def _order(symbol: str, side: str, size: float, price: float, params: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"symbol": symbol, "type": kind, "side": side, "amount": size, "price": price, "params": params}
