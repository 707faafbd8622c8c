"""What doctor asks of an installation, a row each: ok, warn or fail, and the figure it was judged by."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from stopkeeper.console.backend import Check, House, Status
from stopkeeper.console.failures import Failure
from stopkeeper.console.session import now_ms
from stopkeeper.console.words import count, money
from stopkeeper.core.model import Known
from stopkeeper.engine.ports import Ports, StoreGone, Times, Urgency

OFFSET_WARN_MS = 1_000
OFFSET_FAIL_MS = 60_000
LONGEST_LAG_MS = 5_000  # of any venue: OKX


def run(house: House) -> list[Check]:
    """Return every row; a check that cannot be made is a fail, never a silence."""
    found = [_configuration(house)]
    found.extend(_guarded("outside", house.examine))
    for name in house.accounts:
        found.extend(_guarded(name, lambda name=name: _account(house, name)))  # type: ignore[misc]
    return list(dict.fromkeys(found))  # the table of times is one for all accounts


def _guarded(check: str, look: Callable[[], Iterable[Check]]) -> list[Check]:
    try:
        return list(look())
    except (StoreGone, Failure, OSError) as error:
        return [Check(check, "fail", str(error) or type(error).__name__)]


def _configuration(house: House) -> Check:
    modes = ", ".join(f"{facts.name} ({facts.venue}, {facts.mode})" for facts in house.accounts.values())
    return Check("configuration", "ok", f"installation {house.installation}: {modes}")


def _account(house: House, name: str) -> Iterator[Check]:
    ports = house.ports(name)
    yield _times(ports.times)
    yield _venue(ports)
    yield _clock(ports)
    yield _markets(house, ports)
    yield _switches(ports)
    yield from _limits(house.accounts[name].mode, ports)


def _times(times: Times) -> Check:
    table = (
        ("http", times.http_ms),
        ("deadline", times.deadline_ms),
        ("lease", times.lease_ms),
        ("sweep", times.sweep_ms),
        ("drive", times.drive_ms),
        ("visibility", times.visibility_ms),
    )
    chain = " < ".join(f"{word} {ms / 1000:g} s" for word, ms in table)
    rising = all(left[1] < right[1] for left, right in pairwise(table))
    over_ms = times.deadline_ms + LONGEST_LAG_MS
    if rising and times.guardian_ms <= over_ms:
        # what a worker sent before it lost Redis must be over and seen when the guardian begins
        detail = f"guardian {times.guardian_ms / 1000:g} s is not above deadline + lag, {over_ms / 1000:g} s"
        return Check("table of times", "fail", detail)
    chain = f"{chain}; guardian after {times.guardian_ms / 1000:g} s"
    return Check("table of times", "ok" if rising else "fail", chain if rising else f"not rising: {chain}")


def _venue(ports: Ports) -> Check:
    read = ports.venue.holdings(Urgency.ORDINARY)  # also measures the clock, so it comes first
    name = f"{ports.account} venue"
    if isinstance(read, Known):
        held = len(read.value.positions)
        return Check(name, "ok", f"answers: value {money(read.value.funds.value)}, {count(held, 'position')}")
    return Check(name, "fail", f"positions could not be read: {read.why}")


def _markets(house: House, ports: Ports) -> Check:
    listed = house.markets(ports.account)
    missing = [symbol for symbol in ports.symbols if symbol not in listed]
    if not listed:
        return Check(f"{ports.account} markets", "fail", "the venue's market list could not be read")
    if missing:
        return Check(f"{ports.account} markets", "fail", f"not listed at the venue: {', '.join(missing)}")
    gone = [symbol for symbol in ports.symbols if listed[symbol].delisted]
    if gone:
        return Check(f"{ports.account} markets", "fail", f"delisted, nothing is opened there: {', '.join(gone)}")
    count = sum(not market.delisted for market in listed.values())
    steep = [
        f"{symbol} {listed[symbol].max_leverage}x" for symbol in ports.symbols
        if listed[symbol].max_leverage < ports.rules.leverage
    ]  # fmt: skip
    if steep:
        detail = f"leverage {ports.rules.leverage} is more than the venue allows: {', '.join(steep)}"
        return Check(f"{ports.account} markets", "fail", detail)
    return Check(f"{ports.account} markets", "ok", f"{', '.join(ports.symbols)} of {count} listed")


def _clock(ports: Ports) -> Check:
    age = ports.venue.clock_age_ms()
    name = f"{ports.account} clock"
    if age is None or age > ports.times.offset_max_age_ms:
        word = "was never measured" if age is None else f"is {age / 1000:.0f} s old"
        return Check(name, "fail", f"the offset to the venue {word}: no entries until it is, protection goes on")
    offset = ports.venue.now_ms() - now_ms()
    status: Status = "ok" if abs(offset) < OFFSET_WARN_MS else "warn" if abs(offset) < OFFSET_FAIL_MS else "fail"
    return Check(name, status, f"{offset:+d} ms to the venue's, measured {age / 1000:.1f} s ago")


def _switches(ports: Ports) -> Check:
    switches = ports.flags.read(ports.account)
    name = f"{ports.account} switches"
    if switches.barred:
        return Check(name, "fail", f"the venue shuts this account out: {switches.barred}")
    if switches.halted or switches.paused:
        return Check(name, "warn", "halted: nothing is opened" if switches.halted else "paused: nothing is opened")
    return Check(name, "ok", "trading")


def _limits(mode: str, ports: Ports) -> Iterator[Check]:
    limits, name = ports.rules.limits, f"{ports.account} limits"
    wrong = []
    if mode == "live":
        wanted = {"max_notional": limits.max_notional, "max_daily_loss": limits.max_daily_loss}
        wrong = [f"risk.{key} is not set" for key, value in wanted.items() if value is None]
    if limits.drawdown_since_ms is not None and limits.drawdown_since_ms > ports.venue.now_ms():
        wrong.append("risk.drawdown_since is still to come: until then max_drawdown counts nothing booked")
    if wrong:
        yield Check(name, "warn", "; ".join(wrong))
    elif mode == "live":
        detail = f"notional {money(limits.max_notional)} USD, loss of a day {money(limits.max_daily_loss)} USD"
        yield Check(name, "ok", detail)
