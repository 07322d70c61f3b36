"""karbor schedule: what Karbor does without being asked again. It lives in a service."""

from __future__ import annotations

from typing import Any

import click

from karbor.cli.confirmation import confirmed, confirming
from karbor.cli.error_handling import answering
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.domain.errors import BadInput, KarborError

ALL = "/scheduled_operations"
RULES = ("max_backups", "retention_duration", "keep_daily", "keep_weekly", "keep_monthly",
         "keep_yearly")


@click.group(short_help="Create, list, run and delete schedules.")
def schedule() -> None:
    """Scheduled operations of this project, in a Karbor that runs as a service of the cloud.

    Each runs on rights that a user has left: a trust, or an application credential. `list` says
    whose, and until when.
    """


@schedule.command("list", short_help="List schedules.")
@common_without("provider")
@answering
def list_() -> None:
    """List the scheduled operations of this project."""
    invocation = this()
    with invocation.local() as local:
        found = local.data_protect.list(ALL, "operations")
    if invocation.json:
        as_json(found)
        return
    for one in found:
        for text in one.get("warnings", ()):
            say(f"karbor: {one['name']}: {text}")
    as_table(("ID", "NAME", "TYPE", "NEXT RUN (UTC)", "RIGHTS OF", "UNTIL"), [
        (one["id"], one["name"], one["operation_type"], _next(one),
         one["rights"]["user_name"] or one["rights"]["user_id"], _until(one)) for one in found],
        "this project has no scheduled operations", spare=("TYPE",))


@schedule.command("show", short_help="Show a schedule and the results of its runs.")
@click.argument("name")
@click.option("--last", type=click.IntRange(min=0), default=10, show_default=True,
              help="Number of runs to show.")
@common_without("provider")
@answering
def show(name: str, last: int) -> None:
    """Show a scheduled operation, by name or id, and the results of its latest runs."""
    invocation = this()
    with invocation.local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        trigger = local.data_protect.get(f"/triggers/{one['trigger_id']}")["trigger_info"]
        told = local.data_protect.get(f"{ALL}/{one['id']}/occurrences", limit=str(last or 1),
                                      sort="due_at:desc")["occurrences"][:last]
    if invocation.json:
        as_json({**one, "trigger": trigger, "occurrences": told})
        return
    as_facts((
        *_facts(one), ("pattern", trigger["properties"]["pattern"].replace("\r", "")),
        ("fault", trigger.get("fault", "")),
        ("next times", ", ".join(_time(at) for at in trigger.get("next_times", ())))))
    as_table(("DUE (UTC)", "STATE", "OPERATION", "TOLD"), [
        (_time(each["due_at"]) + (" (by hand)" if each["manual"] else ""),
         each["state"] + (f" ({each['count']} times)" if each["count"] > 1 else ""),
         each["operation_log_id"] or "", each["reason"] or each["retention"]) for each in told],
        "nothing was due so far", spare=("OPERATION",))


@schedule.command("create", short_help="Schedule the protection of a plan.")
@click.argument("name")
@click.option("--plan", required=True, metavar="PLAN", help="Plan to protect, by name or id.")
@click.option("--cron", metavar="PATTERN",
              help="When to run: a crontab line of five fields, such as \"0 2 * * *\".")
@click.option("--rrule", metavar="RULE",
              help="When to run: an iCalendar rule, such as FREQ=WEEKLY;BYDAY=SU;BYHOUR=2.")
@click.option("--trigger", metavar="TRIGGER",
              help="When to run: an existing trigger, by name or id.")
@click.option("--time-zone", metavar="ZONE", help="Time zone, such as Europe/Berlin. Default: UTC.")
@click.option("--window", type=click.IntRange(min=1), metavar="SECONDS",
              help="How late a run may begin. Default: set by the operator.")
@click.option("--max-backups", type=click.IntRange(min=1),
              help="Keep this many of the newest checkpoints.")
@click.option("--retention-duration", type=click.IntRange(min=1), metavar="DAYS",
              help="Keep checkpoints for this long.")
@click.option("--keep-daily", type=click.IntRange(min=1),
              help="Keep the newest checkpoint of each of this many days.")
@click.option("--keep-weekly", type=click.IntRange(min=1),
              help="Keep the newest of this many weeks.")
@click.option("--keep-monthly", type=click.IntRange(min=1),
              help="Keep the newest of this many months.")
@click.option("--keep-yearly", type=click.IntRange(min=1),
              help="Keep the newest of this many years.")
@common_without("provider")
@answering
def create(name: str, plan: str, **given: Any) -> None:
    """Schedule the protection of a plan, with your rights.

    With rules of retention, what they do not keep is removed behind each successful protect; never
    the newest good checkpoint, and never one that was made by hand.
    """
    invocation = this()
    rules = {rule: given[rule] for rule in RULES if given[rule] is not None}
    patterns = [given[one] for one in ("cron", "rrule", "trigger") if given[one]]
    if len(patterns) != 1:
        raise BadInput("when it shall run is said by exactly one of --cron, --rrule and --trigger")
    if given["trigger"] and (given["time_zone"] or given["window"]):
        raise BadInput("--time-zone and --window are for a new trigger: the one that there is has "
                       "its own")
    with invocation.local() as local:
        karbor = local.data_protect
        kept = karbor.find("/plans", "plans", "plan", plan)
        if given["trigger"]:
            trigger = karbor.find("/triggers", "triggers", "trigger", given["trigger"])
        else:
            trigger = karbor.post("/triggers", {"trigger_info": {
                "name": name, "type": "time", "properties": _properties(given)}})["trigger_info"]
        try:
            made = karbor.post(ALL, {"scheduled_operation": {
                "name": name, "trigger_id": trigger["id"],
                "operation_type": "retention_protect" if rules else "protect",
                "operation_definition": {"plan_id": kept["id"],
                                         "provider_id": kept["provider_id"], **rules}}})
        except KarborError:
            if not given["trigger"]:
                karbor.delete(f"/triggers/{trigger['id']}")
            raise
    _tell(made["scheduled_operation"])


def _properties(given: dict[str, Any]) -> dict[str, Any]:
    if given["cron"]:
        made: dict[str, Any] = {"format": "crontab", "pattern": given["cron"]}
    else:
        rule = given["rrule"].removeprefix("RRULE:")
        made = {"format": "calendar", "pattern": f"BEGIN:VEVENT\nRRULE:{rule}\nEND:VEVENT"}
    return made | {name: given[name] for name in ("time_zone", "window") if given[name]}


@schedule.command("pause", short_help="Pause a schedule.")
@click.argument("name")
@common_without("provider")
@answering
def pause(name: str) -> None:
    """Pause a scheduled operation until it is resumed. A run under way continues."""
    _change(name, {"enabled": False})


@schedule.command("resume", short_help="Resume a schedule.")
@click.argument("name")
@common_without("provider")
@answering
def resume(name: str) -> None:
    """Resume a scheduled operation. Runs missed meanwhile are not caught up."""
    _change(name, {"enabled": True})


@schedule.command("run", short_help="Run a schedule now.")
@click.argument("name")
@common_without("provider")
@answering
def run(name: str) -> None:
    """Run a scheduled operation now. `karbor schedule show` shows the result."""
    invocation = this()
    with invocation.local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        asked = local.data_protect.post(f"{ALL}/{one['id']}/run")["occurrence"]
    if invocation.json:
        as_json(asked)
    else:
        say(f"{one['name']} is begun by the next worker that looks: karbor schedule show {name}")


@schedule.command("take-over", short_help="Run a schedule with your rights, or renew them.")
@click.argument("name")
@common_without("provider")
@answering
def take_over(name: str) -> None:
    """Let a scheduled operation run on your own rights from now on: when whoever made it leaves the
    project, or when your own that it runs on end soon."""
    with this().local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        made = local.data_protect.post(f"{ALL}/{one['id']}/take_over")
    _tell(made["scheduled_operation"])


@schedule.command("retention", short_help="Show what retention would remove now, and why.")
@click.argument("name")
@common_without("provider")
@answering
def retention(name: str) -> None:
    """Show which checkpoints its rules keep and which would be removed now, and why. Nothing is
    changed."""
    invocation = this()
    with invocation.local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        told = local.data_protect.get(f"{ALL}/{one['id']}/retention")["retention"]
    if invocation.json:
        as_json(told)
        return
    as_table(("CHECKPOINT", "", "WHY"), [
        (each["checkpoint_id"], "stays" if each["kept"] else "GOES", each["reason"])
        for each in told], "its plan has no checkpoints")


@schedule.command("delete", short_help="Delete a schedule; its checkpoints stay.")
@click.argument("name")
@click.option("--with-trigger", is_flag=True,
              help="Also delete its trigger, unless something else uses it.")
@confirming
@common_without("provider")
@answering
def delete(name: str, with_trigger: bool, yes: bool) -> None:
    """Delete a scheduled operation, and the rights that it ran on. Its checkpoints stay."""
    with this().local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        if not confirmed(yes, "delete this schedule and the rights that it runs on?",
                         [f"{one['id']}  {one['name']}"]):
            return
        karbor = local.data_protect
        others = [each["name"] for each in karbor.list(ALL, "operations",
                                                       trigger_id=one["trigger_id"])
                  if each["id"] != one["id"]] if with_trigger else []
        karbor.delete(f"{ALL}/{one['id']}")
        if with_trigger and not others:
            karbor.delete(f"/triggers/{one['trigger_id']}")
    if this().json:
        as_json({"deleted": one["id"], "trigger_deleted": with_trigger and not others})
        return
    say(f"{one['name']} is deleted; its checkpoints stay"
        + (f", and so does its trigger, which {', '.join(others)} uses" if others else ""))


def _change(name: str, change: dict[str, Any]) -> None:
    with this().local() as local:
        one = local.data_protect.find(ALL, "operations", "scheduled operation", name)
        made = local.data_protect.put(f"{ALL}/{one['id']}", {"scheduled_operation": change})
    _tell(made["scheduled_operation"])


def _tell(one: dict[str, Any]) -> None:
    if this().json:
        as_json(one)
    else:
        as_facts(_facts(one))


def _facts(one: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    definition = dict(one["operation_definition"])
    return (("scheduled", one["id"]), ("name", one["name"]), ("type", one["operation_type"]),
            ("plan", definition.pop("plan_id", "")),
            ("provider", definition.pop("provider_id", "")),
            ("keeps", ", ".join(f"{key} {value}" for key, value in definition.items())),
            ("trigger", one["trigger_id"]), ("next run", _next(one)),
            ("rights of", one["rights"]["user_name"] or one["rights"]["user_id"]),
            ("by", one["rights"]["kind"]), ("until", _until(one)),
            *(("no effect", text) for text in one.get("warnings", ())))


def _next(one: dict[str, Any]) -> str:
    if not one["enabled"]:
        return "paused"
    return _time(one["next_run_at"]) if one["next_run_at"] else "never again"


def _until(one: dict[str, Any]) -> str:
    rights = one["rights"]
    if not rights["until"]:
        return "for good"
    first_poll_delay = " (soon: take-over renews them)" if rights["ends_soon"] else ""
    return _time(rights["until"]) + first_poll_delay


def _time(text: str) -> str:
    return text[:16].replace("T", " ")
