"""Keep secrets out of whatever a person or Flower can read: logs, results, tracebacks.

Two nets: the secrets of this installation by their own text (workers registers them), and anything shaped like a
private key or a password in a URL, for what nobody registered.
"""

import re
import threading
from collections.abc import Iterable

HIDDEN = "***"
_SHAPES = (
    (re.compile(r"(?<![0-9a-fA-F])(0x)?[0-9a-fA-F]{64}(?![0-9a-fA-F])"), HIDDEN),
    (re.compile(r"(\w+://[^\s:/@]*:)[^\s@/]+@"), rf"\1{HIDDEN}@"),
)
_known: set[str] = set()
_lock = threading.Lock()


def register(secrets: Iterable[str]) -> None:
    """Remember secret texts; those shorter than 4 characters would blot out ordinary words and are left."""
    with _lock:
        for secret in secrets:
            for form in (secret, secret.removeprefix("0x"), secret.removeprefix("0x").upper()):
                if len(form) >= 4:
                    _known.add(form)


def scrub(text: str) -> str:
    """Return the text with every secret replaced by ``***``."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for secret in known:
        text = text.replace(secret, HIDDEN)
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text
