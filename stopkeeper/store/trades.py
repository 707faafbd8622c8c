"""Key records over Redis: versioned, fenced, confirmed on disk; rules: scripts/{admit,ask,forgot,record_save}.lua."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from stopkeeper.core.ledger import LedgerLine
from stopkeeper.core.model import Key
from stopkeeper.core.record import KeyRecord, Trade
from stopkeeper.core.rules import Limits
from stopkeeper.engine.ports import AdmitResult, Lease, LeaseLost, SignalState
from stopkeeper.store import keys
from stopkeeper.store.asks import REQUEST_TRIES, Admitted, Ask, from_micro, merge, micro_down, micro_up, wish_between
from stopkeeper.store.codec import ASK, LINE, RECORD
from stopkeeper.store.ledger import result_text
from stopkeeper.store.wire import Wire


class RedisRecords:
    """Implements ports.Records."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._born = ""

    def load(self, key: Key) -> KeyRecord:
        """Return the record with all that was asked of it since its last save; a fresh one where none is stored."""
        stored, asks = self._wire.reads(("HMGET", keys.record(key), "version", "doc"), ("HGETALL", keys.asks(key)))
        record = KeyRecord(key) if stored[1] is None else RECORD.load(stored[1])
        ordered = [ASK.load(asks[number]) for number in sorted(asks, key=int)]
        return merge(record, ordered, int(stored[0] or 0))

    def all(self, account: str) -> Sequence[KeyRecord]:
        """Return the records of an account that hold, settle or await a trade, by symbol."""
        symbols = sorted(self._wire.read("SMEMBERS", keys.active(account)))
        return [self.load(Key(account, symbol)) for symbol in symbols]

    def admit(self, trade: Trade, body: str, notional: Decimal, limits: Limits) -> AdmitResult:
        """Refuse or accept a signal's trade in one script, confirmed on disk; notional in USD. Raises StoreGone."""
        signal_id = trade.signal.id if trade.signal is not None else trade.id
        key = trade.key
        reply = self._wire.durable(
            "admit",
            [
                keys.signal(trade.id),
                keys.open_trades(key.account),
                keys.record(key),
                keys.asks(key),
                keys.active(key.account),
                keys.wakes(),
                keys.due(),
            ],
            [
                trade.id,
                signal_id,
                key.account,
                key.symbol,
                body,
                micro_up(notional),
                -1 if limits.max_open_trades is None else limits.max_open_trades,
                micro_down(limits.max_notional),
                ASK.dump(Admitted(trade)),
                keys.member(key),
            ],
        )
        return AdmitResult(reply)

    def save(
        self, record: KeyRecord, lease: Lease, *, booked: LedgerLine | None = None, refused: str | None = None
    ) -> KeyRecord:
        """Save under the lease's fence; return the record as it stands now, with wishes made meanwhile. See ports."""
        key = record.key
        why = refused if refused is not None else booked.exit.reason if booked is not None else ""
        reply = self._wire.durable(
            "record_save",
            [
                keys.record(key),
                keys.asks(key),
                keys.lease(key),
                keys.open_trades(key.account),
                keys.active(key.account),
                keys.ledger(key.account),
                keys.results(key.account),
            ],
            [
                record.version,
                lease.fence,
                RECORD.dump(record),
                "" if record.trade is None else record.trade.id,
                int(record.trade is not None or bool(record.settling)),
                key.symbol,
                "closed" if refused is None else "refused",
                why,
                "" if booked is None else f"{booked.trade.id}:{booked.revision}",
                "" if booked is None else LINE.dump(booked),
                keys.SIGNAL_PREFIX,
                keys.SIGNAL_TTL_MS,
                "" if booked is None else result_text(booked),
            ],
        )
        if int(reply[0]) < 0:
            raise LeaseLost(f"{key}: {reply[1]}")
        younger: list[Ask] = [ASK.load(text) for text in reply[1:]]
        return merge(record, younger, int(reply[0]))

    def request(self, key: Key, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        """Put a person's wish beside the record and wake the key; a drive in progress learns of it with its next save.

        ``change`` may touch the trade's stop, target and close, else ValueError. Raises LeaseLost if the record moved
        under twenty attempts, StoreGone.
        """
        for _ in range(REQUEST_TRIES):
            before = self.load(key)
            wish = wish_between(before, change(before))
            version = int(
                self._wire.durable(
                    "ask",
                    [keys.record(key), keys.asks(key), keys.wakes(), keys.due()],
                    [before.version, "" if wish is None else ASK.dump(wish), keys.member(key)],
                )
            )
            if version >= 0:
                return merge(before, [] if wish is None else [wish], version)
        raise LeaseLost(f"the record of {key} moved under {REQUEST_TRIES} attempts to change it")

    def forgot_ms(self) -> int | None:
        """Return how long ago the server was found to be another, or emptied; None = never. Raises StoreGone."""
        born, age_ms = self._wire.repeatable("forgot", [keys.server()], [self._born])
        self._born = str(born)
        return int(age_ms) if int(age_ms) >= 0 else None

    def confirm(self) -> None:
        """Have a write confirmed on disk as every save is. Raises StoreGone."""
        self._wire.confirmed("SET", keys.probe(), "1", "PX", 1_000)

    def signal(self, trade_id: str) -> SignalState | None:
        """Return what became of the signal behind a trade; None where there was none, or it left 30 days ago."""
        found = self._wire.read("HGETALL", keys.signal(trade_id))
        if not found:
            return None
        key = Key(found["account"], found["symbol"])
        return SignalState(found["signal_id"], trade_id, key, found["state"], found["why"])

    def reserved(self, account: str) -> Mapping[str, Decimal]:
        """Return trade id -> notional in USD of the open trades, rounded up as ``admit`` counted it."""
        found = self._wire.read("HGETALL", keys.open_trades(account))
        return {trade: from_micro(int(micro)) for trade, micro in found.items()}
