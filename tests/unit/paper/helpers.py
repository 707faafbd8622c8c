"""What the paper venue's unit tests share: a market, orders in few words, and a signing client of a foreign make."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from eth_account import Account as Wallet
from hyperliquid.utils.signing import sign_l1_action

from exchange.paper.knobs import Knobs
from exchange.paper.market import Market
from exchange.paper.model import Account, NewOrder, Tif, Trigger
from exchange.paper.options import Where
from exchange.paper.symbols import listing

USER = "0x" + "a" * 40
KEY = "0x" + "11" * 32
ADDRESS = Wallet.from_key(KEY).address.lower()


def market(**knobs: Any) -> Market:
    """A market with one account of 10000 USDC; BTC at 95000, no spread to speak of."""
    made = Market(listing(["BTC", "ETH", "SOL", "kPEPE"]), Knobs(**knobs))
    made.accounts[USER] = Account(USER, Decimal(10_000))
    return made


def order(
    side: str,
    size: str,
    px: str = "0",
    tif: Tif | None = "Ioc",
    *,
    coin: str = "BTC",
    ro: bool = False,
    cloid: str | None = None,
) -> NewOrder:
    """A limit order; px 0 means far enough to trade."""
    worst = Decimal(px) or Decimal("99000" if side == "buy" else "91000")
    return NewOrder(coin, side == "buy", worst, Decimal(size), ro, tif, None, cloid)


def trigger(
    side: str,
    size: str,
    px: str,
    kind: str = "sl",
    *,
    worst: str | None = None,
    coin: str = "BTC",
    ro: bool = True,
    cloid: str | None = None,
    is_market: bool = True,
) -> NewOrder:
    """A trigger order, ten per cent of room unless a worst price is named."""
    room = Decimal("0.9") if side == "sell" else Decimal("1.1")
    limit = Decimal(worst) if worst else (Decimal(px) * room).quantize(Decimal(1))
    wake = Trigger(Decimal(px), is_market, "sl" if kind == "sl" else "tp")
    return NewOrder(coin, side == "buy", limit, Decimal(size), ro, None, wake, cloid)


@dataclass
class Client:
    """A bare client that signs with the foreign SDK's code and speaks plain HTTP."""

    where: Where
    key: str = KEY
    nonce: int = field(default_factory=lambda: int(time.time() * 1000))

    def post(self, path: str, body: Any, *, raw: bytes | None = None) -> tuple[int, Any]:
        data = raw if raw is not None else json.dumps(body).encode()
        request = urllib.request.Request(self.where.url + path, data=data)
        return _open(request)

    def info(self, kind: str, **more: Any) -> Any:
        code, answer = self.post("/info", {"type": kind, **more})
        assert code == 200, answer
        return answer

    def body(self, action: Any, nonce: int | None = None, vault: str | None = None, expires: int | None = None) -> Any:
        self.nonce += 1
        used = self.nonce if nonce is None else nonce
        signature = sign_l1_action(Wallet.from_key(self.key), action, vault, used, expires, False)
        return {
            "action": action,
            "nonce": used,
            "signature": signature,
            "vaultAddress": vault,
            "expiresAfter": expires,
        }

    def act(self, action: Any, **more: Any) -> Any:
        code, answer = self.post("/exchange", self.body(action, **more))
        assert code == 200, answer
        return answer

    def order(self, *rows: Any, grouping: str = "na", **more: Any) -> list[Any]:
        answer = self.act({"type": "order", "orders": list(rows), "grouping": grouping}, **more)
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    def control(self, path: str, body: Any = None, method: str | None = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        return _open(urllib.request.Request(self.where.control_url + path, data=data, method=method))


def _open(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, text


def row(
    side: str, size: str, px: str, *, ro: bool = False, tif: str = "Ioc", asset: int = 0, c: str | None = None
) -> Any:
    """A limit order as on the wire."""
    made = {"a": asset, "b": side == "buy", "p": px, "s": size, "r": ro, "t": {"limit": {"tif": tif}}}
    return made | ({"c": c} if c else {})


def stop_row(side: str, size: str, px: str, worst: str, *, kind: str = "sl", c: str | None = None) -> Any:
    """A reduce-only trigger order as on the wire."""
    wake = {"trigger": {"isMarket": True, "triggerPx": px, "tpsl": kind}}
    made = {"a": 0, "b": side == "buy", "p": worst, "s": size, "r": True, "t": wake}
    return made | ({"c": c} if c else {})
