"""How a command ends that did not work out: the exit codes, and one sentence each.

Only failures a person can understand and act upon belong here; a bug keeps its traceback.
"""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command; stable from the first release."""

    OK = 0
    ERROR = 1
    NOT_FOUND = 2
    REFUSED = 3
    CONFIGURATION = 4
    RAN_OUT = 5


class Failure(Exception):
    """An expected end: what is wrong, with which field and value, and what to do about it."""

    code = Exit.ERROR

    def __init__(
        self, what: str, *, field: str = "", value: str | None = None, hint: str = "", below: str = ""
    ) -> None:
        super().__init__(what)
        self.what = what
        self.field = field
        self.value = value
        self.hint = hint
        self.below = below  # further lines for a person, each with its own line break before it

    def sentence(self) -> str:
        """Return the one line a person reads."""
        where = f"{self.field}: " if self.field else ""
        got = f" (got {self.value})" if self.value is not None else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"error: {where}{self.what}{got}{hint}{self.below}"

    def as_json(self) -> dict[str, str | None]:
        """Return the same for programs."""
        return {"error": self.what, "field": self.field or None, "value": self.value, "hint": self.hint or None}


class NotFound(Failure):
    """An account or a trade that does not exist."""

    code = Exit.NOT_FOUND


class Declined(Failure):
    """A value that cannot be accepted, or a limit."""

    code = Exit.REFUSED


class BadConfiguration(Failure):
    """The configuration is missing, unreadable or contradicts itself."""

    code = Exit.CONFIGURATION


class RanOut(Failure):
    """What was waited for did not come about in time."""

    code = Exit.RAN_OUT
