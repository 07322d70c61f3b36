"""karbor plan: what a service shall protect, written down once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from karbor.cli.confirmation import confirmed, confirming
from karbor.cli.error_handling import answering
from karbor.cli.invocation import common, common_without, given_provider, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.cli.protect import kind, read_parameters
from karbor.domain.errors import BadInput
from karbor.operations.selection import short

ALL = "/plans"


@click.group(short_help="Create, list, run and delete plans.")
def plan() -> None:
    """Plans of this project, in a Karbor that runs as a service of the cloud.

    A plan names resources, or says by tags or metadata which it means at each run, and the provider
    that keeps them. `karbor schedule` runs it again and again.
    """


@plan.command("list", short_help="List plans.")
@common_without("provider")
@answering
def list_() -> None:
    """List the plans of this project."""
    invocation = this()
    with invocation.local() as local:
        found = local.data_protect.list(ALL, "plans")
        names = _providers(local)
    if invocation.json:
        as_json(found)
        return
    as_table(("ID", "NAME", "PROVIDER", "PROTECTS"), [
        (one["id"], one["name"], names.get(one["provider_id"], one["provider_id"]),
         ", ".join(_protects(one))) for one in found],
        "this project has no plans")


@plan.command("show", short_help="Show a plan.")
@click.argument("name")
@common_without("provider")
@answering
def show(name: str) -> None:
    """Show a plan, by name or id."""
    with this().local() as local:
        one = local.data_protect.find(ALL, "plans", "plan", name)
        names = _providers(local)
    _tell(one, names)


@plan.command("create", short_help="Create a plan from resources, tags or metadata.")
@click.argument("name")
@click.argument("resource", nargs=-1)
@click.option("--tag", "tags", metavar="TYPE:TAG", multiple=True,
              help="Also protect all resources of the type with this tag, looked up at each run.")
@click.option("--metadata", metavar="TYPE:KEY=VALUE", multiple=True,
              help="Also protect all resources of the type with this metadata, looked up at each "
                   "run.")
@click.option("--in", "provider", metavar="PROVIDER",
              help="Provider that keeps the checkpoints; the same as --provider. Default: the only "
                   "one.")
@click.option("--param", metavar="TYPE:OPTION=VALUE", multiple=True,
              help="Option of a protection, as for karbor protect.")
@click.option("--description", default="", help="Free text.")
@common
@answering
def create(name: str, resource: tuple[str, ...], description: str, **given: Any) -> None:
    """Create a plan. RESOURCE as for karbor protect: name, id, TYPE:NAME."""
    selectors = _selectors(given["tags"], given["metadata"])
    if not resource and not selectors:
        raise BadInput("the plan names nothing to protect",
                       remedy="name resources, or give --tag or --metadata")
    parameters = read_parameters(given["param"])
    with this().local() as local:
        karbor = local.data_protect
        provider = _provider(karbor.get("/providers")["providers"], _keeper(given["provider"]))
        chosen = local.select(resource) if resource else []
        body: dict[str, Any] = {
            "name": name, "provider_id": provider, "parameters": parameters,
            "resources": [{"id": one.id, "type": one.type, "name": one.name} for one in chosen]}
        body |= {"selectors": selectors} if selectors else {}
        body |= {"description": description} if description else {}
        made = karbor.post(ALL, {"plan": body})["plan"]
        names = _providers(local)
    _tell(made, names)


@plan.command("protect", short_help="Protect a plan now, in the service.")
@click.argument("name")
@common_without("provider")
@answering
def protect(name: str) -> None:
    """Protect a plan now, in the service. `karbor plan checkpoints` shows the result."""
    invocation = this()
    with invocation.local() as local:
        one = local.data_protect.find(ALL, "plans", "plan", name)
        made = local.data_protect.post(_checkpoints(one), {"checkpoint": {"plan_id": one["id"]}})
    found = made["checkpoint"]
    if invocation.json:
        as_json(found)
        return
    as_facts((("checkpoint", found["id"]), ("status", found["status"]),
              ("operation", found["operation_log_id"])))


@plan.command("checkpoints", short_help="List a plan's checkpoints.")
@click.argument("name")
@common_without("provider")
@answering
def checkpoints(name: str) -> None:
    """List a plan's checkpoints, newest first, with the reasons of failures."""
    invocation = this()
    with invocation.local() as local:
        one = local.data_protect.find(ALL, "plans", "plan", name)
        found = local.data_protect.list(_checkpoints(one), "checkpoints", plan_id=one["id"])
    if invocation.json:
        as_json(found)
        return
    as_table(("ID", "MADE", "STATUS", "WHY"), [
        (each["id"], each["created_at"], each["status"], each["reason"]) for each in found],
        "nothing was kept of it so far")


@plan.command("delete", short_help="Delete a plan; its checkpoints stay.")
@click.argument("name")
@confirming
@common_without("provider")
@answering
def delete(name: str, yes: bool) -> None:
    """Delete a plan. Its checkpoints stay."""
    with this().local() as local:
        one = local.data_protect.find(ALL, "plans", "plan", name)
        if not confirmed(yes, "delete this plan?", [f"{one['id']}  {one['name']}"]):
            return
        local.data_protect.delete(f"{ALL}/{one['id']}")
    if this().json:
        as_json({"deleted": one["id"]})
        return
    say(f"plan {one['name']} is deleted; its checkpoints stay")


def _checkpoints(one: dict[str, Any]) -> str:
    return f"/providers/{one['provider_id']}/checkpoints"


def _selectors(tags: Sequence[str], metadata: Sequence[str]) -> list[dict[str, Any]]:
    """Return one selector for each type and way: what bears all of them."""
    found: dict[tuple[str, str], Any] = {}
    for text in tags:
        type, colon, tag = text.partition(":")
        if not colon or not tag:
            raise BadInput(f"--tag {text}: it has the form TYPE:TAG")
        found.setdefault((kind(type), "tags"), []).append(tag)
    for text in metadata:
        type, colon, pair = text.partition(":")
        key, equals, value = pair.partition("=")
        if not colon or not key or not equals:
            raise BadInput(f"--metadata {text}: it has the form TYPE:KEY=VALUE")
        found.setdefault((kind(type), "metadata"), {})[key] = value
    return [{"type": type, way: wanted} for (type, way), wanted in found.items()]


def _keeper(option: str | None) -> str | None:
    """Return what --in says, or the global option --provider."""
    provider = given_provider()
    if option and provider and option != provider:
        raise BadInput(f"--in {option} and --provider {provider} name two providers")
    return option or provider


def _provider(listed: Sequence[dict[str, Any]], wanted: str | None) -> str:
    found = [one for one in listed if wanted in (None, one["id"], one["name"])]
    if len(found) != 1:
        there = ", ".join(f"{one['name']} ({one['id']})" for one in listed) or "none"
        raise BadInput(f"there is no provider {wanted}" if wanted and not found
                       else "which provider shall keep it is not said",
                       remedy=f"give --in; there are: {there}")
    return str(found[0]["id"])


def _providers(local: Any) -> dict[str, str]:
    return {one["id"]: one["name"] for one in local.data_protect.list("/providers", "providers")}


def _protects(one: dict[str, Any]) -> list[str]:
    told = [f"{short(each['type'])} {each['name'] or each['id']}" for each in one["resources"]]
    for each in one.get("selectors", ()):
        wanted = each.get("tags") or [f"{key}={value}" for key, value in each["metadata"].items()]
        told.append(f"every {short(each['type'])} with {' and '.join(wanted)}")
    return told


def _tell(one: dict[str, Any], names: dict[str, str]) -> None:
    if this().json:
        as_json(one)
        return
    as_facts((("plan", one["id"]), ("name", one["name"]),
              ("description", one.get("description") or ""),
              ("provider", names.get(one["provider_id"], one["provider_id"])),
              ("protects", ", ".join(_protects(one))),
              *(("parameters", f"{target}: " + ", ".join(
                  f"{key}={value}" for key, value in (told or {}).items()))
                for target, told in one["parameters"].items())))
