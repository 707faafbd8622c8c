"""The paper venue's control API as the demo needs it: faults, marks, a hand, the witness. Standard library only."""

import json
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from stopkeeper.console.failures import Failure

TIMEOUT_S = 5.0


class PaperControl:
    """A client of the control API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def answers(self) -> bool:
        """Tell whether the venue is up."""
        try:
            self._call("GET", "/health")
        except Failure:
            return False
        return True

    def fault(self, kind: str, *, symbol: str | None = None, action: str | None = None, **more: Any) -> str:
        """Arrange a fault and return its id."""
        match = {name: value for name, value in (("symbol", symbol), ("action", action)) if value is not None}
        return str(self._call("POST", "/faults", {"kind": kind, "match": match, **more})["id"])

    def drop(self, fault_id: str) -> None:
        """End a fault."""
        self._call("DELETE", f"/faults/{fault_id}")

    def used(self, fault_id: str) -> int:
        """Return how often a fault has struck."""
        rules = self._call("GET", "/faults")
        return next((int(rule["used"]) for rule in rules if rule["id"] == fault_id), 0)

    def marks(self) -> dict[str, Decimal]:
        """Return the true marks."""
        return {symbol: Decimal(price) for symbol, price in self._call("GET", "/mark").items()}

    def push(self, symbol: str, price: Decimal, hold_ms: int) -> None:
        """Push a mark and hold it."""
        self._call("POST", "/mark", {"symbol": symbol, "price": str(price), "hold_ms": hold_ms})

    def hand(self, account: str, symbol: str, **what: Any) -> dict[str, Any]:
        """Do what a person does in the venue's own interface."""
        answer: dict[str, Any] = self._call("POST", "/hand", {"account": account, "symbol": symbol, **what})
        return answer

    def witness(self) -> dict[str, dict[str, Any]]:
        """Return the venue's own account of what happened, by address and symbol."""
        answer: dict[str, dict[str, Any]] = self._call("GET", "/witness")
        return answer

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310 http only
        try:
            with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 our own venue on loopback
                return json.loads(answer.read())
        except HTTPError as error:
            text = error.read().decode(errors="replace")
            raise Failure(f"the paper venue refused {method} {path}: {text}", field="demo") from None
        except (URLError, OSError, ValueError) as error:
            raise Failure(f"the paper venue did not answer {method} {path}: {error}", field="demo") from None
