"""The websocket: connections, subscriptions, acknowledgements, posts, and the faults of streams. Contents:
channels.py."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import Any

from aiohttp import WSMsgType, web

from exchange.paper import channels
from exchange.paper.channels import Message
from exchange.paper.edge import Edge
from exchange.paper.frames import Frames
from exchange.paper.model import Event
from exchange.paper.topics import BY_COIN, BY_USER, STATES
from exchange.paper.venue import Venue
from exchange.paper.views import Kind
from exchange.paper.wire import WireError

IDLE_S = 60.0  # the venue closes a connection it has sent nothing for a minute (docs: websocket/timeouts)
STATES_EVERY_S = 5.0
CONTEXT_EVERY_S = 1.0  # open interest, premium and day volume change all the time: a market is never silent there
BACKLOG = 20_000
_HIDING: dict[str, Kind] = {"userFills": "fill", "userEvents": "fill", "orderUpdates": "order"}
_STATE_KIND: dict[str, Kind] = {"clearinghouseState": "position", "openOrders": "order"}


class Connection:
    """One client: its subscriptions and what waits to be sent to it."""

    def __init__(self, socket: web.WebSocketResponse, client: str, number: int) -> None:
        self.socket = socket
        self.number = number
        self.client = client
        self.subs: dict[tuple[str, ...], dict[str, Any]] = {}
        self.told: dict[tuple[str, ...], float] = {}  # when something was last said of a context
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(BACKLOG)
        self.last_sent = time.monotonic()

    def users(self) -> frozenset[str]:
        """Return the accounts it listens to."""
        return frozenset(sub[1] for sub in self.subs if sub[0] in BY_USER)

    def push(self, message: Message | str) -> None:
        """Queue a message; a client that does not read is dropped."""
        try:
            self.queue.put_nowait(message if isinstance(message, str) else json.dumps(message, separators=(",", ":")))
        except asyncio.QueueFull:
            self.drop()

    def drop(self) -> None:
        """Cut the connection without a closing handshake."""
        self.subs.clear()
        transport = self.socket._req.transport if self.socket._req is not None else None  # noqa: SLF001
        if transport is not None:
            transport.abort()


class Streams:
    """All connections of the venue."""

    def __init__(self, venue: Venue, edge: Edge) -> None:
        self.venue = venue
        self.edge = edge
        self.frames = Frames(venue.faults, venue.now_ms)
        self.connections: set[Connection] = set()
        self.served = 0
        self.states_at = 0.0
        venue.outlets.append(self.publish)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client until it goes."""
        socket = web.WebSocketResponse(max_msg_size=1 << 22, compress=False)
        await socket.prepare(request)
        self.served += 1
        connection = Connection(socket, request.remote or "?", self.served)
        self.connections.add(connection)
        writer = asyncio.ensure_future(self._write(connection))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._receive(connection, message.data)
        finally:
            self.connections.discard(connection)
            writer.cancel()
        return socket

    async def _write(self, connection: Connection) -> None:
        while (text := await connection.queue.get()) is not None:
            if not self._silent(connection):
                await connection.socket.send_str(text)
                connection.last_sent = time.monotonic()

    def _silent(self, connection: Connection) -> bool:
        if not self.venue.faults.rules:
            return False
        rules = self.venue.faults.lasting("ws_silence", self.venue.now_ms())
        return any(rule.account is None or rule.account in connection.users() for rule in rules)

    async def _receive(self, connection: Connection, text: str) -> None:
        try:
            message = json.loads(text)
            method = message.get("method") if isinstance(message, dict) else None
            if method == "ping":
                connection.push({"channel": "pong"})
            elif method == "subscribe":
                self._subscribe(connection, message.get("subscription"))
            elif method == "unsubscribe":
                self._unsubscribe(connection, message.get("subscription"))
            elif method == "post":
                task = asyncio.ensure_future(self._post(connection, message))
                task.add_done_callback(lambda done: done.exception())
            else:
                msg = "method"
                raise WireError(msg)
        except (ValueError, RecursionError):
            words = f"Error parsing JSON into valid websocket request: {text}"
            connection.push({"channel": "error", "data": words})

    def _subscribe(self, connection: Connection, raw: Any) -> None:
        sub = channels.key(self.venue, raw)
        if sub in connection.subs:
            connection.push({"channel": "error", "data": f"Already subscribed: {json.dumps(raw)}"})
            return
        refused = self.frames.refusal(sub)
        if refused is not None:
            words = str(refused.more.get("text", "Cannot subscribe to this channel now"))
            connection.push({"channel": "error", "data": f"{words}: {json.dumps(raw)}"})
            return
        connection.subs[sub] = raw
        connection.push({"channel": "subscriptionResponse", "data": {"method": "subscribe", "subscription": raw}})
        for message in channels.first(self.venue, sub):
            self._deliver(connection, sub, message)

    def _unsubscribe(self, connection: Connection, raw: Any) -> None:
        sub = channels.key(self.venue, raw)
        if connection.subs.pop(sub, None) is None:
            connection.push({"channel": "error", "data": f"Already unsubscribed: {json.dumps(raw)}"})
            return
        connection.push({"channel": "subscriptionResponse", "data": {"method": "unsubscribe", "subscription": raw}})

    async def _post(self, connection: Connection, message: dict[str, Any]) -> None:
        request = message.get("request")
        number = message.get("id")
        wanted = request if isinstance(request, dict) else {}
        kind, payload = wanted.get("type"), wanted.get("payload")
        path = "exchange" if kind == "action" else "info"
        reply = await self.edge.handle(path, payload if kind in ("info", "action") else None, connection.client)
        if reply.cut:
            connection.drop()
            return
        response: dict[str, Any]
        if reply.code != 200:
            response = {"type": "error", "payload": f"{reply.code} {reply.text or 'Too Many Requests'}"}
        elif kind == "info" and isinstance(payload, dict):
            response = {"type": "info", "payload": {"type": payload.get("type"), "data": reply.body}}
        else:
            response = {"type": "action", "payload": reply.body}
        connection.push({"channel": "post", "data": {"id": number, "response": response}})

    def publish(self, events: list[Event]) -> None:
        """Tell subscribers what a step did: events as they were, states as reads show them then."""
        users = channels.users_of(events)
        for connection in list(self.connections):
            for sub in list(connection.subs):
                for message in channels.happened(sub, events):
                    self._send(connection, sub, message)
                about = sub[2] if sub[0] == "activeAssetData" else sub[1]
                if sub[0] in STATES and about in users:
                    self._send_state(connection, sub)

    def _lag(self, sub: tuple[str, ...], kind: Kind | None) -> int:
        lag = self.venue.knobs.stream_lag_ms
        if kind is not None and sub[0] in (*_HIDING, *_STATE_KIND) and self.venue.faults.rules:
            name = {"fill": "hide_fills", "order": "hide_orders", "position": "hide_position", "status": ""}[kind]
            rules = self.venue.faults.lasting(name, self.venue.now_ms())
            lag = max([lag, *(rule.delay_ms for rule in rules if rule.account in (None, sub[1]))])
        return lag

    def _send(self, connection: Connection, sub: tuple[str, ...], message: Message) -> None:
        lag = self._lag(sub, _HIDING.get(sub[0]))
        if lag:
            self.venue.later(lag, partial(self._deliver, connection, sub, message))
        else:
            self._deliver(connection, sub, message)

    def _deliver(self, connection: Connection, sub: tuple[str, ...], message: Message | str) -> None:
        """Queue a frame of a subscription, if faults let it through, as often and as late as they say."""
        if sub[0] == "activeAssetCtx":
            connection.told[sub] = time.monotonic()
        fate = self.frames.fate(connection.number, sub)
        for _ in range(fate.copies):
            if fate.delay_ms:
                self.venue.later(fate.delay_ms, partial(connection.push, message))
            else:
                connection.push(message)

    def _send_state(self, connection: Connection, sub: tuple[str, ...]) -> None:
        knobs = self.venue.knobs
        own = {"position": knobs.position_lag_ms, "order": knobs.order_lag_ms}.get(_STATE_KIND.get(sub[0], ""), 0)
        lag = max(self._lag(sub, _STATE_KIND.get(sub[0])), own)
        if lag:
            self.venue.later(lag + 1, partial(self._push_state, connection, sub))
        else:
            self._push_state(connection, sub)

    def _push_state(self, connection: Connection, sub: tuple[str, ...]) -> None:
        if sub in connection.subs:
            for message in channels.state(self.venue, sub):
                self._deliver(connection, sub, message)

    def tick(self, moved: frozenset[str]) -> None:
        """Say the moved prices and each context at least once a second, states of held positions every 5 s, and close
        who has heard nothing for a minute."""
        texts: dict[tuple[str, ...], list[str]] = {}
        now = time.monotonic()
        states = now - self.states_at >= STATES_EVERY_S
        self.states_at = now if states else self.states_at
        for connection in list(self.connections):
            for sub in list(connection.subs):
                if sub[0] == "allMids" or sub[0] in BY_COIN:
                    still = sub[0] == "activeAssetCtx" and sub[1] not in moved
                    if still and now - connection.told.get(sub, 0.0) < CONTEXT_EVERY_S:
                        continue
                    if sub not in texts:
                        found = channels.price(self.venue, sub, None if still else moved)
                        texts[sub] = [json.dumps(message, separators=(",", ":")) for message in found]
                    for text in texts[sub]:
                        self._deliver(connection, sub, text)
                elif states and sub[0] in STATES and self._holds(sub):
                    self._push_state(connection, sub)
            if now - connection.last_sent > IDLE_S:
                connection.drop()

    def _holds(self, sub: tuple[str, ...]) -> bool:
        account = self.venue.market.accounts.get(sub[2] if sub[0] == "activeAssetData" else sub[1])
        return account is not None and bool(account.positions)

    def drop(self, account: str | None) -> int:
        """Cut the connections that listen to an account (None: all); return how many."""
        found = [c for c in self.connections if account is None or account in c.users()]
        for connection in found:
            connection.drop()
        return len(found)
