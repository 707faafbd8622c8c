"""The newest observation of each account over Redis: merged field by field, with a watermark in venue time."""

from collections.abc import Mapping

from stopkeeper.core.model import AccountSeen, Known
from stopkeeper.engine.ports import Journal
from stopkeeper.store import keys
from stopkeeper.store.codec import LOOK
from stopkeeper.store.wire import Wire, age, time_ms

OLDER_BY_MS = 10_000
OLDER_TIMES = 3


def alarm_reset(journal: Journal, account: str, fields: list[str]) -> None:
    """Write down that the venue's time was believed to have gone back."""
    text = (
        f"the venue's time went back: {', '.join(fields)} came {OLDER_TIMES} times in a row more than "
        f"{OLDER_BY_MS // 1000} s older than the newest look; the older time is believed from now on"
    )
    journal.write(account, "", "watermark", text, fields=" ".join(fields))


class RedisLooks:
    """Implements ports.Looks."""

    def __init__(self, wire: Wire, journal: Journal) -> None:
        self._wire = wire
        self._journal = journal

    def load(self, account: str) -> tuple[AccountSeen, Mapping[str, int]]:
        """Return the look and each field's age in ms by Redis time; unread fields are Unknown and have no age."""
        now, stored = self._wire.reads(("TIME",), ("HGETALL", keys.look(account)))
        values = {field: codec.load(stored[field]) for field, codec in LOOK.items() if field in stored}
        ages = {field: age(time_ms(now), int(stored[f"{field}:seen"])) for field in values}
        return AccountSeen(**values), ages

    def save(self, account: str, seen: AccountSeen) -> AccountSeen:
        """Merge the Known fields into the stored look and return it; an older venue time than stored is dropped.

        Three times in a row older by > 10 s resets the watermark, with a journal line of kind ``watermark``.
        """
        args: list[str | int] = [OLDER_BY_MS, OLDER_TIMES]
        for field, codec in LOOK.items():
            reading = getattr(seen, field)
            if isinstance(reading, Known):
                args += [field, reading.at_ms, codec.dump(reading)]
        reset = self._wire.script("look_save", [keys.look(account)], args)
        if reset:
            alarm_reset(self._journal, account, [str(field) for field in reset])
        return self.load(account)[0]
