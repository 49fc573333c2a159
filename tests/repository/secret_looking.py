"""What looks like a secret: keys in their own formats, passwords in addresses, and long strings without any pattern."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Final

_FORMATS: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bdckr_pat_[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
)
# A password of one or two letters is a test's, as is one that a program fills in.
_ADDRESS: Final = re.compile(r"\w+://[\w.-]+:([^\s:/@{}$<>'\"]{8,})@")
_WORD: Final = re.compile(r"[A-Za-z0-9_+/-]{24,}={0,2}")
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]+")
_BITS: Final = 4.3


def _random(word: str) -> bool:
    """Tell whether a word has capitals, small letters and digits in no order, as random values do and names do not."""
    classes = sum(bool(re.search(kind, word)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    if classes < 3 or _HEXADECIMAL.fullmatch(word) or "/" in word:
        return False
    counts = Counter(word).values()
    bits = -sum(count / len(word) * math.log2(count / len(word)) for count in counts)
    changes = len(re.findall(r"[a-z][A-Z0-9]|[0-9][A-Za-z]|[A-Z][0-9]", word))
    return bits > min(_BITS, math.log2(len(word)) - 0.5) and changes > len(word) / 5


def secret_looking(text: str) -> list[str]:
    """Return what looks like a secret in a text, shortened so that a report does not pass it on."""
    found = [match[0] for match in _FORMATS.finditer(text)]
    found += [match[1] for match in _ADDRESS.finditer(text)]
    found += [match[0] for match in _WORD.finditer(text) if _random(match[0])]
    return [f"{one[:6]}…" for one in found]
