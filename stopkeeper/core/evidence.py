"""What fills prove: which of them are a trade's, whether they add up to a close, and why it closed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

from stopkeeper.core.actions import Exit
from stopkeeper.core.ids import FOUND, ClientId, close_reason, decode
from stopkeeper.core.model import ZERO, Fill, FillPage, Known, Role, Side
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.record import Origin, Trade
from stopkeeper.core.rules import Rules

ROLE_REASON = {Role.ENTRY: "entry", Role.STOP: "stop_loss", Role.TARGET: "take_profit", Role.FLATTEN: "manual_close"}
STOPS = frozenset({"stop_loss", "trailing_stop"})
LEAST_TOLERANCE = Decimal("0.005")  # an exit rule that looked no farther called slipped stops unknown (audit, fault 7)
# a worst price of five significant figures lies up to so much of the trigger farther than it was worked out
ROUNDING = Decimal("0.0002")


@dataclass(frozen=True, slots=True)
class Chain:
    """A trade's own fills in order, from the first of the position that its entry opened or joined until zero.

    ``net`` is the signed position they add up to, ``closed`` whether they reached zero, ``remainder`` the signed rest
    of a fill that crossed it and ``remainder_fee`` its part of that fill's fee, ``whole`` whether no fill between them
    is missing. ``opening`` is the signed position before the first, ``after`` the fills that follow the close.
    """

    used: tuple[Fill, ...] = ()
    net: Decimal = ZERO
    started: bool = False
    closed: bool = False
    closed_ms: int = 0
    remainder: Decimal = ZERO
    remainder_fee: Decimal = ZERO
    whole: bool = True
    opening: Decimal = ZERO
    after: tuple[Fill, ...] = ()

    @property
    def left(self) -> Decimal:
        """Return the signed position that the close and all fills after it leave."""
        if not self.after:
            return self.remainder if self.closed else self.net
        last = self.after[-1]
        if last.start is not None:
            return last.start + last.signed
        return self.remainder + sum((f.signed for f in self.after), ZERO)

    @property
    def last_ms(self) -> int:
        """Return when the newest of these fills happened."""
        fills = self.after or self.used
        return fills[-1].time_ms if fills else self.closed_ms

    def carried(self) -> tuple[Decimal, Decimal | None, Decimal]:
        """Return what the moment of the close itself left over for a successor: signed size, average price, fees."""
        same = [f for f in self.after if f.time_ms == self.closed_ms]
        parts = [(self.remainder, self.used[-1].price), *((f.signed, f.price) for f in same)]
        fees = self.remainder_fee + sum((f.fee for f in same), ZERO)
        return sum((s for s, _ in parts), ZERO), _average(parts), fees


def reason_of(fill: Fill, trade: Trade, installation: str) -> str | None:
    """Return what order of ours a fill belongs to, as a ledger reason ("entry" for entries), or None if to none."""
    roles = dict(trade.order_roles)
    if fill.order_id in roles:
        return roles[fill.order_id]
    client = decode(fill.client_id)
    if client is None or client.installation != installation or client.trade != trade.id:
        return None
    return reason_of_client(client, trade)


def reason_of_client(client: ClientId, trade: Trade) -> str:
    """Return what an order of a trade counts for by its client id alone, where its venue id was never learned."""
    if client.role is Role.STOP:
        return _stop_reason(trade)
    if client.role is Role.FLATTEN:  # only closes are noted by number: an entry's counts its attempts
        return dict(trade.order_roles).get(f"n{client.n}") or close_reason(client.n) or ROLE_REASON[client.role]
    return ROLE_REASON[client.role]


def _stop_reason(trade: Trade) -> str:
    return "trailing_stop" if trade.stop_moved_by == "policy" else "stop_loss"


def in_order(fills: Iterable[Fill], net: Decimal) -> list[Fill]:
    """Sort fills by time; among those of one millisecond let each begin where the one before ended."""
    ordered: list[Fill] = []
    for _, group in groupby(sorted(fills, key=lambda f: (f.time_ms, f.id)), key=lambda f: f.time_ms):
        same = list(group)
        while same:
            chosen = same.pop(_next_of(same, net))
            ordered.append(chosen)
            net = (chosen.start if chosen.start is not None else net) + chosen.signed
    return ordered


def _next_of(same: Sequence[Fill], net: Decimal) -> int:
    """Return which of some fills of one millisecond begins at a position, or else where no other of them ended."""
    found = next((i for i, f in enumerate(same) if f.start == net), None)
    if found is not None:
        return found
    ends = {f.start + f.signed for f in same if f.start is not None}
    return next((i for i, f in enumerate(same) if f.start not in ends), 0)


def follow(trade: Trade | None, fills: Known[FillPage] | Unknown, installation: str) -> Chain:
    """Follow a trade's fills. Unknown fills, or a page that begins after the trade, give an empty, not-whole chain."""
    if trade is None:
        return Chain()
    found = trade.origin is Origin.FOUND
    opening = trade.opening_size * trade.side.sign  # of what was found; a signal's begins with nothing
    if isinstance(fills, Unknown) or fills.value.since_ms > trade.created_ms:
        return Chain(net=opening, started=found, whole=False, opening=opening)
    mine = [f for f in fills.value.fills if f.symbol == trade.key.symbol and f.time_ms >= trade.created_ms]
    if found:
        after = in_order((f for f in mine if f.time_ms > trade.created_ms), opening)
        return _walk(_turned(after, opening, trade), opening, found=True)
    return _walk(_joined(in_order(mine, ZERO), trade, installation), ZERO, found=False)


def _joined(ordered: Sequence[Fill], trade: Trade, installation: str) -> list[Fill]:
    """Return the fills from the beginning of the position that an entry opened, or joined: a hand was there before it.

    Of a fill that turns a position round only the rest counts, for what it opened; of an entry whose first fills only
    closed what a hand held, what came after them.
    """
    entries = [i for i, f in enumerate(ordered) if reason_of(f, trade, installation) == "entry"]
    if not entries:
        return []
    first = entries[0]
    begun = next((i for i in range(first, -1, -1) if _opens(ordered[i])), first)
    if (ordered[first].start or ZERO) * ordered[first].signed < 0:
        begun = next((i for i in entries if _opens(ordered[i])), begun)
    opener = ordered[begun]
    turned = bool(opener.start) and _opens(opener)
    return [_rest_of(opener) if turned else opener, *ordered[begun + 1 :]]


def _turned(ordered: Sequence[Fill], opening: Decimal, trade: Trade) -> list[Fill]:
    """Return the fills of a found position from where it was of its side: it was read late, and seen once it was."""
    for index, fill in enumerate(ordered):
        if (fill.start or ZERO) * opening >= 0 or fill.time_ms > (trade.entered_ms or 0):
            return list(ordered[index:])
        if _opens(fill):
            return [_rest_of(fill), *ordered[index + 1 :]]
    return []


def _rest_of(fill: Fill) -> Fill:
    """Return what a fill opened, without what it closed."""
    left = (fill.start or ZERO) + fill.signed
    return replace(fill, size=abs(left), fee=fill.fee * abs(left) / fill.size, start=ZERO, closed_pnl=ZERO)


def _opens(fill: Fill) -> bool:
    """Return whether a position began with a fill: with all of it, or with what it left of one it turned round."""
    return not fill.start or fill.start * (fill.start + fill.signed) < 0


def _walk(ordered: Sequence[Fill], opening: Decimal, *, found: bool) -> Chain:
    net, used, whole = opening, [], True
    for index, fill in enumerate(ordered):
        if fill.start is not None and fill.start != net:
            net = fill.start
            if index == 0 and found and net * opening >= 0:
                opening = net  # what was found had changed when it was seen: the read was older than it said
            else:
                whole = False
        after = net + fill.signed
        if net != 0 and (after == 0 or (after > 0) != (net > 0)):
            fee = fill.fee * abs(net) / fill.size if after else fill.fee
            used.append(replace(fill, size=abs(net), fee=fee) if after else fill)
            return Chain(
                used=tuple(used),
                started=True,
                closed=True,
                closed_ms=fill.time_ms,
                remainder=after,
                remainder_fee=fill.fee - fee,
                whole=whole,
                opening=opening,
                after=tuple(ordered[index + 1 :]),
            )
        used.append(fill)
        net = after
    return Chain(used=tuple(used), net=net, started=found or bool(used), whole=whole, opening=opening)


def _average(parts: Sequence[tuple[Decimal, Decimal]]) -> Decimal | None:
    size = sum((s for s, _ in parts), ZERO)
    return sum((s * p for s, p in parts), ZERO) / size if size else None


def classify(fill: Fill, trade: Trade, rules: Rules, installation: str) -> str:
    """Return the reason one closing fill counts for: venue's own marks, then ids, then price, else ``external``."""
    if fill.liquidation:
        return "liquidation"
    if fill.adl:
        return "adl"
    reason = reason_of(fill, trade, installation)
    if reason is not None:
        return "external" if reason == "entry" else reason
    return _by_another(fill, installation) or _by_price(fill, trade, rules) or "external"


def _by_another(fill: Fill, installation: str) -> str | None:
    """A close or stop of ours under another name is a direct one, or the guardian's, who may not know this trade."""
    client = decode(fill.client_id)
    if client is None or client.installation != installation:
        return None
    if client.role is Role.STOP and client.trade.startswith(FOUND):
        return "stop_loss"
    return close_reason(client.n) if client.role is Role.FLATTEN else None


def _by_price(fill: Fill, trade: Trade, rules: Rules) -> str | None:
    """Price speaks only where the id of such an order was never learned: ids are better evidence. The nearest wins."""
    known = {why for _, why in trade.order_roles}
    stops = () if trade.stop is None or known & STOPS else (trade.stop,)
    targets = () if "take_profit" in known else _target_prices(trade)
    triggers = [(t, _stop_reason(trade)) for t in stops] + [(t, "take_profit") for t in targets]
    reached = [(abs(fill.price - t), why) for t, why in triggers if _may_fill_at(fill.price, t, trade.side, rules)]
    return min(reached, key=lambda found: found[0])[1] if reached else None


def _target_prices(trade: Trade) -> tuple[Decimal, ...]:
    return tuple(goal.price for goal in trade.targets)


def _may_fill_at(price: Decimal, trigger: Decimal, side: Side, rules: Rules) -> bool:
    """Return whether a market trigger of a position of this side may fill so: as bad as its worst price, a bit better.

    Both a stop and a target sell a long, so the bad side is the same: below for a long, above for a short.
    """
    gain = (price - trigger) * side.sign
    good = max(rules.exit_tolerance, LEAST_TOLERANCE)
    bad = max(rules.stop_worst + ROUNDING, LEAST_TOLERANCE)
    return -trigger * bad <= gain <= trigger * good


def exit_of(trade: Trade, chain: Chain, rules: Rules, installation: str, funding: Decimal = ZERO) -> Exit:
    """Sum a chain up into an exit: average prices, fees, P&L and the reason of the largest share."""
    side = trade.side
    opening = [(abs(chain.opening), trade.opening_price)] if trade.opening_price and chain.opening else []
    ins = opening + [(f.size, f.price) for f in chain.used if f.side is side]
    outs = [(f.size, f.price) for f in chain.used if f.side is not side]
    shares: dict[str, Decimal] = {}
    for fill in chain.used:
        if fill.side is not side:
            reason = classify(fill, trade, rules, installation)
            shares[reason] = shares.get(reason, ZERO) + fill.size
    size = sum((s for s, _ in ins), ZERO)
    cash = sum((s * p for s, p in outs), ZERO) - sum((s * p for s, p in ins), ZERO)
    complete = chain.closed and chain.whole
    # Cash tells the truth only where every price in it is known; else the venue's own sum does.
    priced = chain.opening == 0 or (trade.opening_price is not None and abs(chain.opening) == trade.opening_size)
    gross = cash * side.sign if complete and priced else sum((f.closed_pnl for f in chain.used), ZERO)
    fees = trade.opening_fee + sum((f.fee for f in chain.used), ZERO)
    reason = max(shares, key=lambda why: shares[why]) if shares else "unknown"
    return Exit(
        reason=reason,
        evidence=_evidence(chain, shares, trade, installation),
        shares=tuple(shares.items()),
        entry_price=_average(ins),
        exit_price=_average(outs),
        size=size,
        fees=fees,
        gross_pnl=gross,
        funding=funding,
        realized_pnl=gross - fees + funding,
        opened_ms=_opened_ms(trade, chain),
        closed_ms=chain.closed_ms or trade.flat_since_ms or 0,
        complete=complete,
    )


def _opened_ms(trade: Trade, chain: Chain) -> int:
    """Return when the position was opened, by its first fill: an ack is noted later, and funding is by the hour."""
    if chain.used and not chain.opening:
        return chain.used[0].time_ms
    return trade.entered_ms or trade.created_ms


def _evidence(chain: Chain, shares: dict[str, Decimal], trade: Trade, installation: str) -> str:
    if not shares:
        return "no closing fill was seen"
    roles = dict(trade.order_roles)
    outs = [f for f in chain.used if f.side is not trade.side]
    parts = []
    for fill in outs[:8]:
        client = decode(fill.client_id)
        ours = fill.order_id in roles or (client is not None and client.installation == installation)
        by = "our order" if ours else "order"
        what = " by liquidation" if fill.liquidation else " by ADL" if fill.adl else _said(fill)
        parts.append(f"fill {fill.id} of {by} {fill.order_id}: {fill.size} at {fill.price}{what}")
    more = [f"{len(outs) - 8} more fills"] if len(outs) > 8 else []
    return "; ".join(parts + more)


def _said(fill: Fill) -> str:
    return f', "{fill.words}" in the venue\'s words' if fill.words else ""


def side_of(signed: Decimal) -> Side:
    """Return the side of a signed size that is not 0."""
    return Side.LONG if signed > 0 else Side.SHORT
