"""Key records and the ledger in memory: the twins of admit, ask, forgot and record_save.lua, line by line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.limits import Result, result_of
from stopkeeper.core.model import Key
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.rules import Limits
from stopkeeper.engine.ports import AdmitResult, Lease, LeaseLost, SignalState
from stopkeeper.store import keys
from stopkeeper.store.asks import REQUEST_TRIES, Admitted, from_micro, merge, micro_down, micro_up, wish_between
from stopkeeper.store.ledger import last_revisions
from stopkeeper.store.memory.leases import due_by
from stopkeeper.store.memory.world import LeaseRow, MemoryWorld, RecordRow, ServerRow, SignalRow, State


def _record(row: RecordRow, key: Key) -> KeyRecord:
    return merge(row.doc or KeyRecord(key), [row.asks[n] for n in sorted(row.asks)], row.version)


def _refusal(state: State, trade: Trade, micro: int, limits: Limits) -> AdmitResult | None:
    row = state.records.get(trade.key, RecordRow())
    if row.trade or row.admitted:
        return AdmitResult.BUSY
    reserved = state.open.get(trade.key.account, {})
    if limits.max_open_trades is not None and len(reserved) >= limits.max_open_trades:
        return AdmitResult.TOO_MANY
    most = micro_down(limits.max_notional)
    return AdmitResult.TOO_MUCH if 0 <= most < micro + sum(reserved.values()) else None


class MemoryRecords:
    """Implements ports.Records."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._born_ms: int | None = None

    def load(self, key: Key) -> KeyRecord:
        """Return the record with all that was asked of it since its last save; a fresh one where none is stored."""
        with self._world.using() as state:
            return _record(state.records.get(key, RecordRow()), key)

    def all(self, account: str) -> Sequence[KeyRecord]:
        """Return the records of an account that hold, settle or await a trade, by symbol."""
        with self._world.using() as state:
            rows = sorted((key.symbol, key, row) for key, row in state.records.items() if key.account == account)
            active = [(key, row) for _, key, row in rows if row.admitted or (row.doc and _occupied(row.doc))]
            return [_record(row, key) for key, row in active]

    def admit(self, trade: Trade, body: str, notional: Decimal, limits: Limits) -> AdmitResult:
        """Refuse or accept a signal's trade; notional in USD. Raises StoreGone."""
        key, micro, now = trade.key, micro_up(notional), self._world.clock()
        keys.member(key)
        with self._world.using() as state:
            known = self._signal(state, trade.id)
            if known is not None:
                return AdmitResult.REPEATED if known.body == body else AdmitResult.CONFLICT
            refusal = _refusal(state, trade, micro, limits)
            if refusal is not None:
                return refusal
            row = state.records.setdefault(key, RecordRow())
            row.version += 1
            row.admitted, row.admitted_at = trade.id, row.version
            row.asks[row.version] = Admitted(trade)
            signal_id = trade.signal.id if trade.signal is not None else trade.id
            state.signals[trade.id] = SignalRow(SignalState(signal_id, trade.id, key, "open", ""), body)
            state.open.setdefault(key.account, {})[trade.id] = micro
            state.wakes[key] = state.wakes.get(key, 0) + 1
            due_by(state, key, now)
        return AdmitResult.ADMITTED

    def save(
        self, record: KeyRecord, lease: Lease, *, booked: LedgerLine | None = None, refused: str | None = None
    ) -> KeyRecord:
        """Save under the lease's fence; return the record as it stands now, with wishes made meanwhile. See ports."""
        key = record.key
        why = refused if refused is not None else booked.exit.reason if booked is not None else ""
        with self._world.using() as state:
            fence = state.leases.get(key, LeaseRow()).fence
            if fence != lease.fence:
                raise LeaseLost(f"{key}: fence {lease.fence} is stale, the key is at {fence}")
            row = state.records.setdefault(key, RecordRow())
            if not row.base <= record.version <= row.version:
                raise LeaseLost(
                    f"{key}: version {record.version} was loaded, the record is at {row.base} to {row.version}"
                )
            before = row.trade
            if not before and row.admitted and row.admitted_at <= record.version:
                before, row.admitted, row.admitted_at = row.admitted, "", 0
            row.asks = {n: ask for n, ask in row.asks.items() if n > record.version or n == row.admitted_at}
            row.trade = "" if record.trade is None else record.trade.id
            if before and before != row.trade:
                self._left(state, key, before, "closed" if refused is None else "refused", why)
            if row.trade:
                state.open.setdefault(key.account, {}).setdefault(row.trade, 0)
            if booked is not None:
                state.ledger.setdefault(key.account, {}).setdefault((booked.trade.id, booked.revision), booked)
            row.base = row.version = row.version + 1
            row.doc = replace(record, version=row.version)
            return _record(row, key)

    def request(self, key: Key, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Put a person's wish beside the record and wake the key; a drive in progress learns of it with its next save.

        ``change`` may touch the trade's stop, target and close, else ValueError. Raises LeaseLost if the record moved
        under twenty attempts, StoreGone.
        """
        for _ in range(REQUEST_TRIES):
            before = self.load(key)
            wish = wish_between(before, change(before))
            with self._world.using() as state:
                row = state.records.setdefault(key, RecordRow())
                if row.version != before.version:
                    continue
                if wish is not None:
                    row.version += 1
                    row.asks[row.version] = wish
                state.wakes[key] = state.wakes.get(key, 0) + 1
                due_by(state, key, self._world.clock())
                return _record(row, key)
        raise LeaseLost(f"the record of {key} moved under {REQUEST_TRIES} attempts to change it")

    def forgot_ms(self) -> int | None:
        """Return how long ago the server was found to be another, or emptied; None = never. Raises StoreGone."""
        now = self._world.clock()
        with self._world.using() as state:
            row = state.server or ServerRow(self._world.server, now)
            emptied = self._born_ms not in (None, row.born_ms) and row.forgot_ms is None
            ahead = row.forgot_ms is not None and row.forgot_ms > now
            if emptied or ahead or row.id != self._world.server:
                row.id, row.forgot_ms = self._world.server, now
            state.server, self._born_ms = row, row.born_ms
            return None if row.forgot_ms is None else now - row.forgot_ms

    def confirm(self) -> None:
        """Confirm that the store is there: it has no disk. Raises StoreGone."""
        with self._world.using():
            return

    def signal(self, trade_id: str) -> SignalState | None:
        """Return what became of the signal behind a trade; None where there was none, or it left 30 days ago."""
        with self._world.using() as state:
            row = self._signal(state, trade_id)
            return None if row is None else row.state

    def reserved(self, account: str) -> Mapping[str, Decimal]:
        """Return trade id -> notional in USD of the open trades, rounded up as ``admit`` counted it."""
        with self._world.using() as state:
            return {trade: from_micro(micro) for trade, micro in state.open.get(account, {}).items()}

    def _signal(self, state: State, trade_id: str) -> SignalRow | None:
        row = state.signals.get(trade_id)
        if row is not None and row.expires_ms is not None and row.expires_ms <= self._world.clock():
            del state.signals[trade_id]
            return None
        return row

    def _left(self, state: State, key: Key, trade_id: str, outcome: str, why: str) -> None:
        state.open.get(key.account, {}).pop(trade_id, None)
        row = self._signal(state, trade_id)
        if row is not None:
            row.state = replace(row.state, state=outcome, why=why)
            row.expires_ms = self._world.clock() + keys.SIGNAL_TTL_MS


class MemoryLedger:
    """Implements ports.Ledger."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world

    def lines(self, account: str) -> Sequence[LedgerLine]:
        """Return the last revision of every trade, oldest first. Raises StoreGone."""
        with self._world.using() as state:
            return last_revisions(state.ledger.get(account, {}).values())

    def results(self, account: str) -> Sequence[Result]:
        """Return what limits count of the same lines. Raises StoreGone."""
        return [result_of(line) for line in self.lines(account)]


def _occupied(record: KeyRecord) -> bool:
    return record.trade is not None or bool(record.settling)
