"""karbor credential: application credentials that let Karbor finish what outlasts a login."""

from __future__ import annotations

import sys
from typing import Any

import click

from karbor.cli.confirmation import confirmed, confirming
from karbor.cli.error_handling import answering
from karbor.cli.formatting import count, moment
from karbor.cli.invocation import common_without, this
from karbor.cli.output import as_facts, as_json, as_table, say
from karbor.domain.application_credential import ApplicationCredential
from karbor.domain.errors import BadInput


@click.group(short_help="Register, list and remove application credentials.")
def credential() -> None:
    """Register application credentials for operations that outlast a login.

    Karbor acts for you with a trust where it can. Who logs in with an application credential can
    make no trusts, and registers one instead: Karbor keeps it sealed, and uses it only for the
    operations of its owner.
    """


@credential.command(short_help="Let Karbor act for you with an application credential.")
@click.option("--id", metavar="ID",
              help="Use an application credential that you made; its secret is prompted for, "
                   "or read from stdin.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), metavar="N",
              help="Days until the one that Karbor makes expires. Default: never.")
@click.option("--role", "roles", metavar="ROLE", multiple=True,
              help="Role to pass on; may be given several times. Default: those of "
                   "[credentials] trust_roles that you have.")
@common_without("provider")
@answering
def register(id: str | None, days: float | None, roles: tuple[str, ...]) -> None:
    """Let Karbor act for you in this project with an application credential.

    Logged in with a password, Karbor makes a new one for itself. Logged in with an application
    credential, it keeps that one. An earlier registration is replaced.
    """
    invocation = this()
    with invocation.local() as local:
        kept = local.application_credentials
        if id is not None:
            _refuse_with("--id", days, roles)
            made = kept.take(id, _secret(id))
        elif local.cloud.caller.application_credential_id:
            _refuse_with("a login made with an application credential", days, roles)
            made = kept.own()
        else:
            made = kept.make(roles, days)
        name, application_credential = local.cloud.caller.user_name, made.registration
    for told in made.left:
        say(f"an earlier one is still there: {told}")
    if invocation.json:
        as_json(_json(application_credential))
        return
    as_facts(
        (
            ("registered", application_credential.application_credential_id),
            ("name", application_credential.name),
            ("user", name),
            ("expires", _expires(application_credential)),
        )
    )


def _refuse_with(what: str, days: float | None, roles: tuple[str, ...]) -> None:
    if days is not None or roles:
        raise BadInput(f"--days and --role do not go with {what}: it is what it is")


def _secret(id: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(f"secret of {id}", hide_input=True, err=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise BadInput(f"there is no secret of {id} on stdin")
    return secret


@credential.command("list", short_help="List the registered application credentials.")
@common_without("provider")
@answering
def list_() -> None:
    """List the application credentials registered in this project."""
    invocation = this()
    with invocation.local() as local:
        application_credentials = local.application_credentials.list(local.project_id)
    if invocation.json:
        as_json(
            [_json(application_credential) for application_credential in application_credentials]
        )
        return
    as_table(
        ("ID", "NAME", "USER", "MADE BY", "EXPIRES"),
        [
            (
                application_credential.application_credential_id or "(not finished)",
                application_credential.name,
                application_credential.user_id,
                "Karbor" if application_credential.made_here else "its user",
                _expires(application_credential),
            )
            for application_credential in application_credentials
        ],
        "no application credential is registered in this project",
        spare=("USER", "NAME"),
    )


@credential.command(short_help="Remove your application credential.")
@confirming
@common_without("provider")
@answering
def remove(yes: bool) -> None:
    """Forget your application credential; remove it from Keystone if Karbor made it.

    Operations that run on it end at their next request.
    """
    with this().local() as local:
        if not confirmed(yes, "forget your application credential?", []):
            return
        gone = local.application_credentials.remove(local.cloud.project_id, local.cloud.user_id)
    if this().json:
        as_json([_json(application_credential) for application_credential in gone])
        return
    for application_credential in gone:
        name = application_credential.name or application_credential.application_credential_id
        say(f"removed {name}")


@credential.command("rotate-keys", short_help="Seal all stored secrets with a new key.")
@common_without("cloud", "provider")
@answering
def rotate_keys() -> None:
    """Make a new sealing key, and seal all stored tokens and secrets with it."""
    with this().local() as local:
        sealed = local.application_credentials.rotate_keys()
    if this().json:
        as_json({"sealed_anew": sealed})
        return
    say(f"a new key is in use; {count(sealed, 'secret')} sealed with it")


def _expires(application_credential: ApplicationCredential) -> str:
    return (
        moment(application_credential.expires_at)
        if application_credential.expires_at is not None
        else "never"
    )


def _json(application_credential: ApplicationCredential) -> dict[str, Any]:
    """Return a registered credential as JSON, without what is sealed."""
    return {
        "id": application_credential.id,
        "application_credential_id": application_credential.application_credential_id,
        "name": application_credential.name,
        "user_id": application_credential.user_id,
        "project_id": application_credential.project_id,
        "made_by_karbor": application_credential.made_here,
        "expires_at": application_credential.expires_at,
        "created_at": application_credential.created_at,
    }
