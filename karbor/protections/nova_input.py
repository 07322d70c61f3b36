"""What Nova takes as input where it stores or derives more: names, hostnames, metadata. Pure.

The rules are those of Nova's own schemas (nova/api/validation/parameter_types.py).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_HOSTNAME_290 = re.compile(r"[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+")
_HOSTNAME_294 = re.compile(r"[a-zA-Z0-9._-]+")
_METADATA_KEY = re.compile(r"[a-zA-Z0-9-_:. ]{1,255}")
LONGEST_NAME = 255
LONGEST_VALUE = 255


def takes_hostname(hostname: str, version: str) -> bool:
    """Return whether a request may ask for it: since microversion 2.90, and with dots since
    2.94. Nova derives hostnames from names, with letters that it refuses to be asked for
    (`müller-db`); from the same name it derives the same one again."""
    minor = int(version.partition(".")[2])
    if minor >= 94:
        return len(hostname) <= 255 and bool(_HOSTNAME_294.fullmatch(hostname))
    return (minor >= 90 and 2 <= len(hostname) <= 63
            and bool(_HOSTNAME_290.fullmatch(hostname)))


def refused_name(name: str) -> str:
    """Return why Nova refuses the name of a server; "" when it takes it."""
    if not 1 <= len(name) <= LONGEST_NAME:
        return f"it has {len(name)} characters, and 1 to {LONGEST_NAME} are allowed"
    if name != name.strip() or any(unicodedata.category(one) == "Zs" for one in name[0] + name[-1]):
        return "it begins or ends with a space"
    bad = next((one for one in name if not _printable(one)), None)
    return f"it has the character {bad!a}" if bad else ""


def _printable(char: str) -> bool:
    """Return whether a text is printable to Nova: no control characters, no line separators, and
    nothing beyond the Basic Multilingual Plane (emoji)."""
    category = unicodedata.category(char)
    return ord(char) < 0xFFFF and not category.startswith("C") and category not in ("Zl", "Zp")


def split_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the items that Nova takes, and those that were stored by other rules."""
    taken = {key: value for key, value in metadata.items()
             if _METADATA_KEY.fullmatch(key) and len(value) <= LONGEST_VALUE}
    return taken, {key: value for key, value in metadata.items() if key not in taken}
