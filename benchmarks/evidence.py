"""What truly happened in a run: every mark, order and fill, noted at the market or asked of it, and questions to it."""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from exchange.paper.model import Event, Fill, FillEvent, Order, OrderEvent

_UNFILLED = {"triggered": "fired", "marketOrderNoLiquidityRejected": "stop_no_fill"}


@dataclass
class Evidence:
    """What truly happened, noted at the market itself: every mark, order and fill.

    ``struck`` are the moments at which a fault took a stop away or kept it from filling: (when, coin, what). Marks that
    were asked for, not noted as they came, may be ``blur_ms`` old; what a feed tells as the mark, ``stale_ms``.
    """

    blur_ms: int = 0
    stale_ms: int = 2_500
    times_ms: "array[int]" = field(default_factory=lambda: array("q"))
    marks: dict[str, "array[float]"] = field(default_factory=lambda: defaultdict(lambda: array("d")))
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    struck: list[tuple[int, str, str]] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Note an event of the market."""
        if isinstance(event, OrderEvent):
            order = event.order
            self.orders[order.oid] = order
            fault = "cancel_stop" if event.silent else _UNFILLED.get(order.status)
            if fault is not None:
                self.struck.append((order.status_ms, order.coin, fault))
        elif isinstance(event, FillEvent):
            self.fills.append(event.fill)


def mark_at(evidence: Evidence, coin: str, at_ms: int) -> Decimal:
    """Return the true mark at a moment."""
    index = max(0, bisect_right(evidence.times_ms, at_ms) - 1)
    return Decimal(str(evidence.marks[coin][index]))


def marks_between(evidence: Evidence, coin: str, from_ms: int, to_ms: int) -> tuple[range, Sequence[float]]:
    """Return the indices and values of the true marks in a span, the one that held at its beginning first."""
    begin = max(0, bisect_right(evidence.times_ms, from_ms) - 1)
    end = bisect_left(evidence.times_ms, to_ms + 1)
    return range(begin, end), evidence.marks[coin][begin:end]


def marks_around(evidence: Evidence, coin: str, at_ms: int) -> Sequence[float]:
    """Return the true marks at a moment: one, or all within the time by which the evidence may be off."""
    blur = evidence.blur_ms
    return (
        marks_between(evidence, coin, at_ms - blur, at_ms + blur)[1]
        if blur
        else [float(mark_at(evidence, coin, at_ms))]
    )


def reached(evidence: Evidence, coin: str, at_ms: int, level: Decimal, sign: int) -> bool:
    """Return whether the mark stood at a level at a moment, or beyond it: above for sign 1, below for -1."""
    return any((mark - float(level)) * sign >= 0 for mark in marks_around(evidence, coin, at_ms))
