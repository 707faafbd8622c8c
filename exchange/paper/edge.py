"""The request edge, shared by HTTP and websocket posts: form, limits, latency, faults, then info or exchange.

What comes back is a Reply: an HTTP code and a body, or a connection to be cut without an answer.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
from dataclasses import dataclass
from typing import Any

from exchange.paper import hyperliquid, info
from exchange.paper.budget import action_weight, info_weight
from exchange.paper.faults import Rule
from exchange.paper.venue import Venue
from exchange.paper.wire import WireError

_MALFORMED = "Failed to deserialize the JSON body into the target type"
log = logging.getLogger("paper")


@dataclass(frozen=True)
class Reply:
    """What a client gets: code and JSON body (or bare text), or nothing at all."""

    code: int
    body: Any = None
    text: str | None = None
    cut: bool = False


@dataclass(frozen=True)
class _Event:
    """What faults are matched against."""

    names: frozenset[str]
    account: str | None
    coins: frozenset[str]


class Edge:
    """Takes requests in and lets faults have their way with them."""

    def __init__(self, venue: Venue, seed: int = 1) -> None:
        self.venue = venue
        self.dice = random.Random(f"{seed}:latency")
        self.pending: set[asyncio.Task[Reply]] = set()

    async def handle(self, path: str, body: object, client: str) -> Reply:
        """Answer one request. The work goes on even if the client has gone, as a real venue's would."""
        return await asyncio.shield(self._keep(asyncio.ensure_future(self._handle(path, body, client))))

    def _keep(self, task: asyncio.Task[Reply]) -> asyncio.Task[Reply]:
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)
        return task

    async def _handle(self, path: str, body: object, client: str) -> Reply:
        try:
            if not isinstance(body, dict):
                return Reply(422, text=_MALFORMED)
            await self._delay()
            signed = hyperliquid.read(self.venue, body) if path == "exchange" else None
            event = self._event(signed, body)
            return await self._with_faults(event, signed, body, client)
        except WireError:
            return Reply(422, text=_MALFORMED)
        except hyperliquid.UnknownAsset as error:
            return Reply(200, hyperliquid.failed(f"Unknown asset. asset={error.args[0]}"))
        except Exception:  # the request edge: a bug here must not take the venue down, and must be seen
            log.exception("paper venue: a request failed")
            return Reply(500, text="Internal Server Error")

    async def _delay(self) -> None:
        knobs = self.venue.knobs
        wait = knobs.latency_ms + (self.dice.randint(0, knobs.jitter_ms) if knobs.jitter_ms else 0)
        if wait:
            await asyncio.sleep(wait / 1000)

    def _event(self, signed: hyperliquid.Signed | None, body: dict[str, Any]) -> _Event:
        if signed is not None:
            return _Event(signed.names, signed.user, signed.coins)
        user = body.get("user")
        wanted = body.get("req")
        coin = body.get("coin") or (wanted.get("coin") if isinstance(wanted, dict) else None)
        coins = frozenset({str(coin)}) if coin else frozenset()
        names = frozenset({"info", str(body.get("type"))})
        return _Event(names, user.lower() if isinstance(user, str) else None, coins)

    def _take(self, kind: str, event: _Event) -> Rule | None:
        if not self.venue.faults.rules:
            return None
        return self.venue.faults.take(kind, event.names, event.account, event.coins)

    async def _with_faults(
        self, event: _Event, signed: hyperliquid.Signed | None, body: dict[str, Any], client: str
    ) -> Reply:
        if self.venue.meter.over(client, self.venue.now_ms()) or self._take("http_429", event):
            return Reply(429, None)
        if (rule := self._take("http_502", event)) is not None:
            return Reply(502, text=str(rule.more.get("text", "Bad Gateway")))
        if (rule := self._take("refuse_before", event)) is not None:
            how = rule.more.get("how", "close")
            return Reply(0, cut=True) if how == "close" else Reply(int(how), text="refused before processing")
        if (rule := self._take("error", event)) is not None:
            return _chosen_error(rule, signed)
        if (rule := self._take("late_processing", event)) is not None:
            if rule.more.get("how") == "close":
                self._keep(asyncio.ensure_future(self._land(rule.delay_ms, signed, body, client, event)))
                return Reply(0, cut=True)
            await asyncio.sleep(rule.delay_ms / 1000)
        late, dropped = self._take("late", event), self._take("drop_answer", event)
        reply = self._process(signed, body, client, event)
        if (rule := self._take("false_answer", event)) is not None:
            reply = Reply(rule.more.get("code", 200), _falsified(reply.body, rule.more))
        if late is not None:
            await asyncio.sleep(late.delay_ms / 1000)
        return Reply(0, cut=True) if dropped is not None else reply

    async def _land(
        self, delay_ms: int, signed: hyperliquid.Signed | None, body: dict[str, Any], client: str, event: _Event
    ) -> Reply:
        await asyncio.sleep(delay_ms / 1000)
        return self._process(signed, body, client, event)

    def _process(self, signed: hyperliquid.Signed | None, body: dict[str, Any], client: str, event: _Event) -> Reply:
        venue = self.venue
        if signed is None:
            answer = info.answer(venue, body)
            kind = str(body["type"])
            weight = info_weight(kind, answer)
        else:
            answer = hyperliquid.perform(venue, signed)
            kind, weight = signed.kind, action_weight(signed.batch)
        venue.meter.count(client, kind, event.account, weight, venue.now_ms())
        return Reply(200, answer)


def _falsified(answer: Any, more: dict[str, Any]) -> Any:
    """Return an answer with a value in the place of the part at a path; one that has no such part stays as it is."""
    path = more.get("path", "")
    if not path:
        return more["value"]
    answer = part = copy.deepcopy(answer)
    *way, last = (int(name) if name.isdecimal() else name for name in path.split("."))
    try:
        for name in way:
            part = part[name]
        part[last]  # what is not there is not put there
        part[last] = more["value"]
    except (KeyError, IndexError, TypeError):
        log.warning("paper venue: an answer has nothing at %s, so it is not falsified", path)
    return answer


def _chosen_error(rule: Rule, signed: hyperliquid.Signed | None) -> Reply:
    text = str(rule.more.get("text", "Internal error"))
    if signed is None:
        return Reply(500, text=text)
    if rule.more.get("shape") == "statuses":
        kind = "cancel" if "cancel" in signed.names else "order"
        return Reply(200, hyperliquid.done(kind, {"statuses": [{"error": text} for _ in range(signed.batch)]}))
    return Reply(200, hyperliquid.failed(text))
