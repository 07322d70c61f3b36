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
    """karbor.conf, and the files of providers beside it."""


@config.command("check", short_help="Everything that is wrong or doubtful, at once.")
@click.option("--online", is_flag=True,
              help="Also log in, look Karbor up in the catalog, open the database, list the banks.")
@common_without("cloud", "provider")
@answering
def check(online: bool) -> None:
    """Options that nobody knows, values, logins, providers, permissions. Nothing is changed.

    Exit code 1: something is broken. What is only doubtful is a warning, and the code 0.
    """
    from karbor.config_check.check import check as checking  # noqa: PLC0415 - slow imports
    from karbor.doctor.finding import Verdict, worst  # noqa: PLC0415

    invocation = this()
    found = list(checking(invocation.config_files or None, online=online))
    verdict = worst(found)
    if invocation.json:
        as_json({"verdict": verdict.value, "findings": [one.to_dict() for one in found]})
    else:
        as_table(("OK", "", "SEEN"), [(one.check, one.subject, one.seen) for one in found
                                      if one.verdict is Verdict.OK], "")
        for kind in (Verdict.UNPROVEN, Verdict.WARNING, Verdict.BROKEN):
            for one in found:
                if one.verdict is kind:
                    paint_finding(one)
        counts = [f"{number} {kind.value}" for kind in Verdict
                  if (number := sum(one.verdict is kind for one in found))]
        say(f"karbor config check: {', '.join(counts)}")
    if verdict is Verdict.BROKEN:
        sys.exit(exit_codes.FAILED)


@config.command("show", short_help="What every option is worth, and who said so.")
@click.option("--all", "defaults", is_flag=True, help="Those that have their default as well.")
@common_without("cloud", "provider")
@answering
def show(defaults: bool) -> None:
    """Effective values with their source. Secrets are masked."""
    from karbor.config_check.effective_options import show as showing  # noqa: PLC0415 - slow imports

    invocation = this()
    found = [one for one in showing(invocation.config_files or None)
             if defaults or one.source != "default"]
    if invocation.json:
        as_json([{"section": one.group, "option": one.name, "value": one.value,
                  "source": one.source} for one in found])
    else:
        as_table(("SECTION", "OPTION", "VALUE", "SOURCE"), [
            (one.group, one.name, "" if one.value is None else str(one.value), one.source)
            for one in found], "every option has its default (see --all)")
