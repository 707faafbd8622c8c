"""From journal lines to what a person is told: which lines are news, what goes on, how often, in which order.

May live here: a pure fold over lines and times; what sends the messages lives in workers. Times are ms: a line's own
stamp (its id) says how long an alarm goes on, ``now_ms`` how many messages went out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

MINUTE_MS = 60_000
OLD_MS = 120_000  # a line older than this is told with its age
LINES = 20  # lines of one message
WORDS = 300  # characters of one line

ALARM = "alarm:"
BACK = "back:"  # and the alarm that it ends
#: What ends an alarm of the same symbol; of a kind that nothing ends the time between two lines decides.
_ENDED_BY: Mapping[str, frozenset[str]] = {
    "protected": frozenset({"naked", "unsafe", "off"}),
    "booked": frozenset({"naked", "unsafe", "off"}),
    "flat": frozenset({"naked", "unsafe", "off", "orphan"}),
}
_ENDED_BY_RESUME = frozenset({"halt", "barred"})

Lines = Iterable[tuple[str, Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Wants:
    """What is told beside alarms, and how often."""

    entries: bool = False
    exits: bool = False
    stop_moves: bool = False
    repeat_ms: int = 900_000
    max_per_minute: int = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """One line to be told; an alarm goes before what was only wished for and is never dropped."""

    symbol: str
    kind: str
    text: str
    at_ms: int
    alarm: bool


@dataclass(frozen=True, slots=True)
class Going:
    """An alarm that goes on: its first line, the line that was told last, and its newest."""

    symbol: str
    kind: str
    since_ms: int
    told_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent at once: a title, and a line for every notice."""

    title: str
    text: str
    alarm: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of an account, and what still waits; kept over a restart."""

    going: tuple[Going, ...] = ()
    waiting: tuple[Notice, ...] = ()
    held: int = 0  # lines that were dropped since the last message
    sent_ms: tuple[int, ...] = ()  # of the messages of the last minute


def hear(told: Told, account: str, lines: Lines, wants: Wants) -> Told:
    """Take journal lines in, oldest first, ``(id, fields)`` each; what is worth telling waits afterwards."""
    for line_id, fields in lines:
        at_ms, symbol, kind = int(line_id.partition("-")[0]), fields.get("symbol", ""), fields.get("kind", "")
        text = fields.get("text", "")
        told = replace(told, going=_still(told.going, symbol, kind, text, at_ms, wants))
        word = _alarm_word(kind, text)
        if word is not None:
            told = _alarm(told, Notice(symbol, word, _plain(text, account, symbol), at_ms, alarm=True), wants)
        elif kind in ("found", "watermark") or kind.startswith(BACK):
            news = Notice(symbol, kind, _plain(text, account, symbol), at_ms, alarm=True)
            told = replace(told, waiting=(*told.waiting, news))
        elif _wanted(kind, fields, wants):
            news = Notice(symbol, _name(kind, fields), _plain(text, account, symbol), at_ms, alarm=False)
            told = replace(told, waiting=(*told.waiting, news))
    return told


def speak(told: Told, account: str, now_ms: int, wants: Wants) -> tuple[Told, Message | None]:
    """Return the message that may go out now, or None, and what was told then.

    Of wishes at most a message's lines wait; the rest is counted. They leave a quarter of the minute to alarms.
    """
    recent = tuple(sent for sent in told.sent_ms if now_ms - MINUTE_MS < sent <= now_ms)
    alarms = tuple(notice for notice in told.waiting if notice.alarm)
    wishes = tuple(notice for notice in told.waiting if not notice.alarm)
    room = wants.max_per_minute if alarms else wants.max_per_minute - wants.max_per_minute // 4
    if not told.waiting or len(recent) >= room:
        kept = wishes[-LINES:]
        held = told.held + len(wishes) - len(kept)
        return replace(told, waiting=(*alarms, *kept), held=held, sent_ms=recent), None
    shown = (alarms + wishes)[:LINES]
    held = told.held + len(wishes) - sum(1 for notice in shown if not notice.alarm)
    later = alarms[LINES:]
    text = [_line(notice, now_ms) for notice in shown]
    if held:
        text.append(f"and {held} more {'line' if held == 1 else 'lines'}; see stopkeeper journal")
    message = Message(_title(account, shown), "\n".join(text), alarm=bool(alarms))
    return replace(told, waiting=later, held=0, sent_ms=(*recent, now_ms)), message


# --- hearing ---------------------------------------------------------------------------------------------------


def _alarm_word(kind: str, text: str) -> str | None:
    """Return the alarm a line raises: one of its own, or a halt that a person switched."""
    if kind.startswith(ALARM):
        return kind.removeprefix(ALARM)
    return "halt" if kind == "switch" and text.startswith("halted") else None


def _wanted(kind: str, fields: Mapping[str, str], wants: Wants) -> bool:
    if kind == "PlaceStop":
        return wants.stop_moves and bool(fields.get("moved_by"))  # without it the stop is a new one, not a move
    return (kind == "Enter" and wants.entries) or (kind == "booked" and wants.exits)


def _name(kind: str, fields: Mapping[str, str]) -> str:
    if kind == "PlaceStop":
        return f"stop moved by {fields['moved_by']}"
    return "entry" if kind == "Enter" else "exit"


def _still(going: tuple[Going, ...], symbol: str, kind: str, text: str, at_ms: int, wants: Wants) -> tuple[Going, ...]:
    """Return the alarms that go on after a line: those that it ends or that were silent for long do not."""
    ended = frozenset({kind.removeprefix(BACK)}) if kind.startswith(BACK) else _ENDED_BY.get(kind, frozenset())
    resumed = _ENDED_BY_RESUME if kind == "switch" and text.startswith("resumed") else frozenset()
    return tuple(
        each
        for each in going
        if at_ms - each.last_ms < wants.repeat_ms
        and each.kind not in resumed
        and not (each.kind in ended and (each.symbol == symbol or kind.startswith(BACK)))
    )


def _alarm(told: Told, news: Notice, wants: Wants) -> Told:
    """Tell an alarm at its first line, then again after ``repeat_ms``."""
    same = next((g for g in told.going if (g.symbol, g.kind) == (news.symbol, news.kind)), None)
    if same is None:
        going = Going(news.symbol, news.kind, news.at_ms, news.at_ms, news.at_ms)
        return replace(told, going=(*told.going, going), waiting=(*told.waiting, news))
    others = tuple(each for each in told.going if each is not same)
    if news.at_ms - same.told_ms < wants.repeat_ms:
        return replace(told, going=(*others, replace(same, last_ms=news.at_ms)))
    minutes = (news.at_ms - same.since_ms) // MINUTE_MS
    again = replace(news, text=f"for {minutes} min now: {news.text}"[:WORDS])
    going = replace(same, told_ms=news.at_ms, last_ms=news.at_ms)
    return replace(told, going=(*others, going), waiting=(*told.waiting, again))


def _plain(text: str, account: str, symbol: str) -> str:
    """Take off the key that some lines begin with: title and line name it already."""
    return text.removeprefix(f"{account}:{symbol}: ").removeprefix(f"{account}: ")[:WORDS]


# --- speaking --------------------------------------------------------------------------------------------------


def _title(account: str, shown: tuple[Notice, ...]) -> str:
    alarms = [notice for notice in shown if notice.alarm]
    if len(alarms) > 1:
        return f"Stopkeeper {account}: {len(alarms)} alarms"
    return f"Stopkeeper {account}: {_head(shown[0])}" if alarms or len(shown) == 1 else f"Stopkeeper {account}"


def _head(notice: Notice) -> str:
    return f"{notice.symbol} {notice.kind}".strip()


def _line(notice: Notice, now_ms: int) -> str:
    age_ms = now_ms - notice.at_ms
    age = f" ({age_ms // MINUTE_MS} min ago)" if age_ms > OLD_MS else ""
    return f"{_head(notice)}: {notice.text}{age}"
