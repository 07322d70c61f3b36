"""Options and sections that nobody knows, and values that make no sense: all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from oslo_config import cfg

from karbor.config_check.files import Written
from karbor.config_check.removed_options import Former, former
from karbor.doctor.finding import Finding, Verdict
from karbor.known_options import AUDITING, MESSAGING, MESSAGING_DEFAULTS, Known


def spelling(files: Sequence[Written], known: Known) -> Iterator[Finding]:
    """Yield what nobody knows in each file in turn, in the order in which things stand there."""
    for file in files:
        if file.error:
            yield Finding("file", str(file.path), Verdict.BROKEN,
                          f"it cannot be read: {file.error}", fix="nothing works before")
            continue
        for section, options in file.sections.items():
            yield from _section(file, section, list(options), known)
            for name, values in options.items():
                option = known.option(section, name)
                if option is not None:
                    yield from _value(file, section, name, option, values)


def _section(file: Written, section: str, names: Sequence[str], known: Known) -> Iterator[Finding]:
    if section.startswith(MESSAGING):
        yield Finding("option", f"[{section}]", Verdict.UNPROVEN,
                      f"in {file.path}: only notifications use it, and it was not looked at")
        return
    if section in AUDITING:
        for name in names:
            if name not in AUDITING[section]:
                yield Finding("option", f"[{section}] {name}", Verdict.BROKEN,
                              f"in {file.path}: there is no such option",
                              means="it has no effect",
                              fix="there are: " + ", ".join(sorted(AUDITING[section])))
        return
    if section not in known.groups:
        said = former(section)
        yield Finding("section", f"[{section}]", Verdict.BROKEN if said is None else
                      Verdict.WARNING, f"in {file.path}: {_unknown('section', said)}",
                      means="nothing in it has any effect",
                      fix=_fix(said, section, known.groups, "[{}]"))
    for name in names:
        if known.option(section, name) is None:
            yield from _option(file, section, name, known)


def _option(file: Written, section: str, name: str, known: Known) -> Iterator[Finding]:
    if section == "DEFAULT" and name in MESSAGING_DEFAULTS:
        return
    said = former(section, name)
    if said is None and section not in known.groups:
        return      # of its section everything has been said
    options = known.groups.get(section, {})
    homes = known.homes(name)
    fix = _fix(said, name, options, "{}")
    if said is None and homes and not get_close_matches(name, options, 1):
        fix = "it is an option of " + ", ".join(f"[{home}]" for home in homes[:3])
    yield Finding("option", f"[{section}] {name}", Verdict.BROKEN if said is None else
                  Verdict.WARNING, f"in {file.path}: {_unknown('option', said)}",
                  means="it has no effect", fix=fix)


def _unknown(what: str, said: Former | None) -> str:
    return f"an {what} of Karbor 1.x" if said and what == "option" else (
        f"a {what} of Karbor 1.x" if said else f"there is no such {what}")


def _fix(said: Former | None, name: str, names: Iterable[str], form: str) -> str:
    if said is not None:
        return said.hint
    near = get_close_matches(name, list(names), 1, 0.6)
    return f"did you mean {form.format(near[0])}?" if near else "remove it, or correct its name"


def _value(file: Written, section: str, name: str, option: cfg.Opt, values: Sequence[str]
           ) -> Iterator[Finding]:
    for value in values:
        if "$" in value:
            continue    # oslo.config puts other options in its place first
        try:
            option.type(value)
        except (ValueError, TypeError) as error:
            # A secret's own words are not repeated.
            why = "" if option.secret else f": {' '.join(str(error).split())}"
            yield Finding("value", f"[{section}] {name}", Verdict.BROKEN,
                          f"in {file.path}: not valid{why}",
                          fix=" ".join((option.help or "").split()))
    if option.deprecated_for_removal:
        yield Finding("option", f"[{section}] {name}", Verdict.WARNING,
                      f"in {file.path}: it will be removed", fix=option.deprecated_reason or "")
    elif name != option.dest:
        yield Finding("option", f"[{section}] {name}", Verdict.WARNING,
                      f"in {file.path}: a former name", fix=f"it is called {option.dest} now")
