"""What stands in the files, as it stands there: before oslo.config makes options of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg

from karbor.known_options import ACCOUNTS

Sections = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class Written:
    """One file. `error` is why it cannot be read; then it has no sections."""

    path: Path
    sections: Sections = field(default_factory=dict, repr=False)
    error: str = ""


def written(path: Path) -> Written:
    """Read what the files say. Never raises: what is wrong is part of the answer."""
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(str(path), sections).parse()
    except OSError as error:
        return Written(path, error=error.strerror or "it cannot be read")
    except (cfg.ParseError, UnicodeError) as error:
        # A ParseError quotes the line, which may be a password.
        line = f"line {error.lineno}: {error.msg}" if isinstance(error, cfg.ParseError) else (
            "it is no text in UTF-8")
        return Written(path, error=line)
    return Written(path, sections)


def auth_types(files: Sequence[Written]) -> dict[str, str]:
    """Return what the sections with logins say of their auth_type; sections that they name by an
    auth_section are among them. The later file counts."""
    found: dict[str, str] = {}
    for section in ACCOUNTS:
        named = _last(files, section, "auth_section")
        for one in filter(None, (section, named)):
            found[one] = _last(files, one, "auth_type")
    return found


def _last(files: Sequence[Written], section: str, name: str) -> str:
    values = [file.sections[section][name][-1] for file in files
              if name in file.sections.get(section, {})]
    return values[-1].strip() if values else ""
