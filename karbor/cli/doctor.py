"""karbor doctor: how long an operation started now could run, and what would end it."""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

import click

from karbor.cli import exit_codes
from karbor.cli.error_handling import answering
from karbor.cli.formatting import moment
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_facts, as_json, as_table, say

if TYPE_CHECKING:
    from karbor.doctor.finding import Finding
    from karbor.doctor.report import Report

_MARGIN = " " * 10


@click.command(short_help="Find out how long operations can run in this cloud.")
@click.option("--hours", type=click.FloatRange(min=0.0, min_open=True), default=24.0,
              show_default=True, help="Duration of the operation to judge by.")
@click.option("--active", is_flag=True,
              help="Create temporary resources: an application credential, a trust, a small image.")
@click.option("--deep", is_flag=True,
              help="Also create a volume of 1 GiB and its backup (implies --active).")
@click.option("--patience", type=click.FloatRange(min=0.0), default=0.0, metavar="SECONDS",
              help="How long to wait for the end of Keystone's window. Default: do not wait.")
@click.option("--services-cache", type=click.FloatRange(min=-1.0), default=300.0, metavar="SECONDS",
              show_default=True,
              help="token_cache_time of the services: how long they keep a validated token; "
                   "-1: not at all.")
@common_without("provider")
@answering
def doctor(hours: float, active: bool, deep: bool, patience: float, services_cache: float) -> None:
    """Examine the cloud and the login: until when could an operation started now run, and why not
    longer?

    Reads only, unless --active or --deep allow more; what they make is removed again. What was not
    looked at is called unproven.
    """
    from karbor import config  # noqa: PLC0415 - slow imports, only when there is work
    from karbor.cmd.doctor import Doctor  # noqa: PLC0415
    from karbor.doctor.context import DoctorOptions  # noqa: PLC0415
    from karbor.doctor.finding import Verdict  # noqa: PLC0415

    invocation = this()
    doctor = Doctor(config.load(invocation.config_files or None), invocation.cloud)
    options = DoctorOptions(hours, active or deep, deep, patience, max(0.0, services_cache))
    try:
        with _terminable():
            report = doctor.examine(options, _told)
    except KeyboardInterrupt:
        say("karbor: interrupted")
        _say_left(doctor.left)
        sys.exit(exit_codes.INTERRUPTED)
    if invocation.json:
        as_json(report.to_dict())
    else:
        paint(report)
    _say_left(doctor.left)
    if report.verdict is Verdict.BROKEN:
        sys.exit(exit_codes.FAILED)


def paint(report: Report) -> None:
    from karbor.doctor.finding import Verdict  # noqa: PLC0415
    from karbor.doctor.formatting import span  # noqa: PLC0415

    found = report.to_dict()
    window = found["window"]
    least = span(window["at_least"])
    most = f", at most {span(window['at_most'])}" if window["at_most"] is not None else ""
    until = found["operation"]["until"]
    as_facts((
        ("cloud", found["auth_url"]),
        ("login", f"{found['login']['user_name']} in {found['login']['project_name']}"),
        ("token", f"until {moment(found['login']['expires_at'])}"),
        ("window", f"{span(window['configured'])} configured; seen: at least {least}{most}"),
        ("can run", "not so long: it would be refused" if found["operation"]["refused"] else
         f"until {moment(until)}" if until is not None else "without an end"),
        ("asked for", f"{found['hours']:g} h")))
    click.echo()
    as_table(("CREDENTIAL", "USE UNTIL", "VERY END"), [
        (rung["rung"], moment(rung["until"]) if rung["until"] is not None else
         "no end" if rung["possible"] else "not possible", moment(rung["ends"]))
        for rung in found["rungs"]], "")
    for verdict in (Verdict.BROKEN, Verdict.WARNING, Verdict.UNPROVEN):
        for finding in _merged(
            finding for finding in report.findings if finding.verdict is verdict
        ):
            paint_finding(finding)
    click.echo()
    as_table(("OK", "", "SEEN"), [
        (finding.check, finding.subject, finding.seen) for finding in report.findings
        if finding.verdict is Verdict.OK], "")
    counts = [f"{number} {verdict.value}" for verdict in Verdict
              if (number := sum(finding.verdict is verdict for finding in report.findings))]
    say(f"karbor doctor: {', '.join(counts)}")


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that say the same of several services into one."""
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.check, finding.seen, finding.means, finding.fix), []).append(
            finding
        )
    return [
        replace(
            group[0], subject=", ".join(finding.subject for finding in group if finding.subject)
        )
        for group in alike.values()
    ]


def paint_finding(finding: Finding) -> None:
    width = min(100, shutil.get_terminal_size().columns)
    click.echo()
    name = f"{finding.check}: {finding.subject}" if finding.subject else finding.check
    click.echo(click.style(textwrap.fill(
        name, width, initial_indent=f"{finding.verdict.value:<10}", subsequent_indent=_MARGIN),
        bold=True))
    for label, text in (("", finding.seen), ("means", finding.means), ("fix", finding.fix)):
        if text:
            head = f"{_MARGIN}{label + ': ' if label else ''}"
            click.echo(textwrap.fill(text, width, initial_indent=head, subsequent_indent=_MARGIN,
                                     break_long_words=False, break_on_hyphens=False))


def _told(text: str) -> None:
    if sys.stderr.isatty() or this().verbose:
        say(f"karbor doctor: {text}")


def _say_left(left: list[str]) -> None:
    for one in left:
        say(f"karbor: left behind: {one}; remove it by hand")


@contextmanager
def _terminable() -> Iterator[None]:
    """Have a SIGTERM end the examination as Ctrl-C does: with everything removed."""
    def hear(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
