"""karbor config: is the configuration right, and what does it come to?"""

from __future__ import annotations

import sys

import click

from karbor.cli import exit_codes
from karbor.cli.doctor import paint_finding
from karbor.cli.error_handling import answering
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_json, as_table, say


@click.group(short_help="Check and show the configuration.")
def config() -> None:
    """Check and show karbor.conf and the provider files."""


@config.command("check", short_help="Report all errors and doubts in the configuration.")
@click.option("--online", is_flag=True,
              help="Also log in, look Karbor up in the catalog, open the database, list the banks.")
@common_without("cloud", "provider")
@answering
def check(online: bool) -> None:
    """Check options, values, logins, providers and file permissions. Nothing is changed.

    Exit code 1: something is broken. What is only doubtful is a warning, and the code 0.
    """
    from karbor.config_check.check import check as checking  # noqa: PLC0415 - slow imports
    from karbor.doctor.finding import Verdict, worst  # noqa: PLC0415

    invocation = this()
    findings = list(checking(invocation.config_files or None, online=online))
    verdict = worst(findings)
    if invocation.json:
        as_json({"verdict": verdict.value, "findings": [finding.to_dict() for finding in findings]})
    else:
        as_table(
            ("OK", "", "SEEN"),
            [
                (finding.check, finding.subject, finding.seen)
                for finding in findings
                if finding.verdict is Verdict.OK
            ],
            "",
        )
        for kind in (Verdict.UNPROVEN, Verdict.WARNING, Verdict.BROKEN):
            for finding in findings:
                if finding.verdict is kind:
                    paint_finding(finding)
        counts = [f"{number} {kind.value}" for kind in Verdict
                  if (number := sum(finding.verdict is kind for finding in findings))]
        say(f"karbor config check: {', '.join(counts)}")
    if verdict is Verdict.BROKEN:
        sys.exit(exit_codes.FAILED)


@config.command("show", short_help="Show effective values and where they come from.")
@click.option("--all", "defaults", is_flag=True, help="Also show options that have their default.")
@common_without("cloud", "provider")
@answering
def show(defaults: bool) -> None:
    """Show effective values and where each comes from. Secrets are masked."""
    from karbor.config_check.effective_options import show as showing  # noqa: PLC0415 - slow imports

    invocation = this()
    showns = [shown for shown in showing(invocation.config_files or None)
              if defaults or shown.source != "default"]
    if invocation.json:
        as_json([{"section": shown.group, "option": shown.name, "value": shown.value,
                  "source": shown.source} for shown in showns])
    else:
        as_table(("SECTION", "OPTION", "VALUE", "SOURCE"), [
            (shown.group, shown.name, "" if shown.value is None else str(shown.value), shown.source)
            for shown in showns], "every option has its default (see --all)")
