"""A look at the fills: what is read again, and what of the page known before is kept."""

from dataclasses import dataclass, field

from stopkeeper.core.actions import Field
from stopkeeper.core.model import AccountSeen, Fill, FillPage, Key, Known
from stopkeeper.core.outcomes import Unknown
from stopkeeper.core.pages import FILLS_KEPT_MS
from stopkeeper.engine.observe import FILLS_AGAIN_MS, read_account
from stopkeeper.engine.ports import Urgency
from tests.unit.core.scene import NOW, fill, held_trade, record

DAY_MS = 24 * 3600 * 1000
BTC = record(held_trade(created_ms=NOW - DAY_MS), key=Key("main", "BTC"))
OLD = NOW - FILLS_KEPT_MS - 1


@dataclass
class Shop:
    """As much of a venue as a look at fills asks for."""

    fills_there: tuple[Fill, ...]
    asked: list[int] = field(default_factory=list)

    def wait_ms(self, _fields: frozenset[Field], _urgency: Urgency) -> int:
        return 0

    def now_ms(self) -> int:
        return NOW

    def fills(self, since_ms: int, _urgency: Urgency) -> Known[FillPage]:
        self.asked.append(since_ms)
        return Known(FillPage(since_ms, tuple(f for f in self.fills_there if f.time_ms >= since_ms)), NOW)


def _read(shop: Shop, known: Known[FillPage] | Unknown) -> Known[FillPage]:
    found = read_account(shop, frozenset({Field.FILLS}), known, Urgency.PROTECTIVE, lambda: [BTC])  # type: ignore[arg-type]
    assert isinstance(found, AccountSeen)
    assert isinstance(found.fills, Known)
    return found.fills


def _fills() -> tuple[Fill, ...]:
    return (
        fill("1", "1", "100", NOW - DAY_MS),
        fill("2", "1", "100", OLD, symbol="ETH"),
        fill("3", "1", "100", OLD + 1, symbol="ETH"),
        fill("4", "1", "100", OLD),
        fill("5", "1", "100", NOW, symbol="ETH"),
    )


def test_a_page_read_afresh_keeps_what_is_asked_for() -> None:
    shop = Shop(_fills())
    page = _read(shop, Unknown("nothing read yet"))
    assert shop.asked == [NOW - DAY_MS]
    assert page.value.since_ms == NOW - DAY_MS
    assert [f.id for f in page.value.fills] == ["1", "4", "3", "5"]


def test_a_page_known_before_is_read_on_and_loses_what_nobody_asks_for_any_more() -> None:
    shop = Shop(_fills())
    known = Known(FillPage(NOW - DAY_MS, _fills()[:4]), NOW - 5_000)
    page = _read(shop, known)
    assert shop.asked == [NOW - 5_000 - FILLS_AGAIN_MS]
    assert page.value.since_ms == NOW - DAY_MS
    assert [f.id for f in page.value.fills] == ["1", "4", "3", "5"]
