"""What is told of each trade of a run: its wish, the venue's own orders and fills, the journal's lines, the ledger's.

For the judges. Whose an order is, is read from the digits of its client id, with no code of the engine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from benchmarks.evidence import Evidence
from exchange.paper.model import Fill, Order
from stopkeeper.core.ledger import LedgerLine

ENTRY, STOP, TARGET, FLATTEN = "1", "2", "3", "4"  # the digit of a client id that says what its order is for
_MOVE = re.compile(r"place stop (\S+) at (\S+) \(the stop moves from (\S+) to (\S+): (.+)\): (.+)$")
_AGAIN = re.compile(r"place stop \S+ at (\S+) \(the position is naked\): accepted")
_ENTER = re.compile(r"enter \S+ .* with stop ([0-9.]+)((?:, target [0-9.]+)*), attempt")


@dataclass(frozen=True)
class Wish:
    """What a signal asks for, as text, with the name it is counted under."""

    name: str
    side: str
    trail: str = "off"
    breakeven: str = "off"
    targets: tuple[str, ...] = ()
    stop: str = "1.5%"
    time_limit_s: int | None = None
    rests: bool = False

    @property
    def sign(self) -> int:
        return 1 if self.side == "long" else -1


@dataclass(frozen=True)
class Said:
    """A line of the journal."""

    at_ms: int
    kind: str
    text: str
    trade: str
    moved_by: str


@dataclass(frozen=True)
class Move:
    """A move of a stop, as the journal tells it."""

    at_ms: int
    before: Decimal
    trigger: Decimal
    why: str
    moved_by: str
    answer: str


@dataclass(frozen=True)
class Scene:
    """What a run leaves behind: what the engine says, what the venue says, and what was asked of the venue.

    ``witness`` is the paper venue's own account by symbol, as its control API tells it; ``held`` the requests and the
    weight asked for while a position was held; ``decimals`` those of each symbol's size.
    """

    lines: Sequence[Said]
    ledger: Sequence[LedgerLine]
    evidence: Evidence
    decimals: Mapping[str, int]
    witness: Mapping[str, Mapping[str, Any]]
    funding: Mapping[str, Decimal]
    held: tuple[int, int]
    costs: Mapping[str, Any]


@dataclass
class Story:
    """One trade that entered. ``decimals`` are those of its size, which say how fine its prices may be."""

    coin: str
    decimals: int
    trade: str
    wish: Wish
    line: LedgerLine | None
    entries: list[Fill] = field(default_factory=list)
    exits: list[Fill] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    again: list[tuple[int, Decimal]] = field(default_factory=list)  # where a stop that was gone was placed again
    closes: list[Said] = field(default_factory=list)
    first_stop: Decimal = Decimal(0)
    goals: tuple[Decimal, ...] = ()

    @property
    def entry(self) -> Decimal:
        """The average price of its entry fills."""
        return sum((f.px * f.size for f in self.entries), Decimal(0)) / self.size

    @property
    def size(self) -> Decimal:
        return sum((f.size for f in self.entries), Decimal(0))

    @property
    def opened_ms(self) -> int:
        return self.entries[0].time_ms

    @property
    def closed_ms(self) -> int:
        return self.exits[-1].time_ms

    @property
    def closed(self) -> bool:
        return sum((f.size for f in self.exits), Decimal(0)) == self.size

    def __str__(self) -> str:
        return f"{self.trade} ({self.coin} {self.wish.side}, {self.wish.name})"


def role_of(order: Order | Fill) -> str:
    """Return the digit that says what an order of ours is for; "" for anybody else's."""
    cloid = order.cloid or ""
    return cloid[10] if cloid.startswith("0x57b") else ""


def trade_of(order: Order | Fill) -> str:
    """Return the twelve digits of the trade an order of ours belongs to."""
    return (order.cloid or "")[16:28] if role_of(order) else ""


def journal(rows: Sequence[tuple[str, Mapping[str, str]]]) -> list[Said]:
    """Return the journal's lines."""
    return [
        Said(
            int(name.partition("-")[0]),
            row["kind"],
            row["text"],
            str(row.get("trade", "")),
            str(row.get("moved_by", "")),
        )
        for name, row in rows
    ]


def stories(scene: Scene, wishes: Mapping[str, Wish]) -> list[Story]:
    """Put together what is told of every trade that entered, oldest first."""
    booked = {line.trade.id: line for line in scene.ledger}
    found: dict[str, Story] = {}
    current: dict[str, Story] = {}
    for fill in scene.evidence.fills:
        trade, coin = trade_of(fill), fill.coin
        if role_of(fill) == ENTRY:
            fresh = Story(coin, scene.decimals[coin], trade, wishes[trade], booked.get(trade))
            current[coin] = found.setdefault(trade, fresh)
            current[coin].entries.append(fill)
        else:
            current[coin].exits.append(fill)
    for said in scene.lines:
        story = found.get(said.trade)
        if story is not None:
            _tell(story, said)
    return list(found.values())


def _tell(story: Story, said: Said) -> None:
    if said.kind == "Enter" and (match := _ENTER.match(said.text)):
        story.first_stop = Decimal(match[1])
        story.goals = tuple(Decimal(each) for each in re.findall(r"target ([0-9.]+)", match[2]))
    elif said.kind == "Flatten":
        story.closes.append(said)
    elif said.kind == "PlaceStop" and (match := _MOVE.match(said.text)):
        before, trigger = Decimal(match[3]), Decimal(match[2])
        story.moves.append(Move(said.at_ms, before, trigger, match[5], said.moved_by, match[6]))
    elif said.kind == "PlaceStop" and (match := _AGAIN.match(said.text)):
        story.again.append((said.at_ms, Decimal(match[1])))
