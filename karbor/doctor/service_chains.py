"""Chains: services that ask each other in the user's name.

Each service passes the user's token on with its own service token, or without one: whether that
outlasts the user's token is a matter of that service's configuration, not of Karbor's. Some of
these chains show themselves in a request that is refused for another reason, afterwards; those are
asked. Of the others the option to look at is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from karbor.doctor.context import DiagnosticContext, failure
from karbor.doctor.finding import Verdict
from karbor.plugin.token_probe import Answer, Served, Speaker

CHECK = "chain"


@dataclass(frozen=True)
class Chain:
    """`needs` are services by their names; `option` is what makes the chain last, `when` where it
    matters."""

    name: str
    needs: tuple[str, ...]
    option: str
    when: str
    broken_at_once: bool = False    # no option helps: the service exchanges the token


SERVICE_USER = "[service_user] send_service_user_token = true, with an account"

UNSEEN: Sequence[Chain] = (
    Chain("nova-compute to cinder, glance and neutron", ("nova", "cinder"),
          f"{SERVICE_USER}, in nova.conf of every compute host",
          "attaching volumes, server images"),
    Chain("cinder to barbican", ("cinder", "barbican"),
          "[barbican] send_service_user_token = true and [barbican_service_user] in cinder.conf",
          "the end of a restore of an encrypted volume"),
    Chain("nova to barbican", ("nova", "barbican"),
          "[barbican] send_service_user_token = true and [barbican_service_user] in nova.conf",
          "attaching encrypted volumes"),
    Chain("cinder to nova", ("nova", "cinder"), "[nova] auth_type and an account, in cinder.conf",
          "extending attached volumes"),
    Chain("glance to swift", ("glance", "swift"),
          "swift_store_multi_tenant = false in glance-api.conf, or another store",
          "images kept in the user's own account"),
    Chain("glance to cinder", ("glance", "cinder"),
          "cinder_store_auth_address, cinder_store_user_name, … where the store is Cinder",
          "images kept in volumes"),
    Chain("nova to manila", ("nova", "manila"), "none: Nova exchanges the token",
          "attaching shares to servers: before the token's end, with a login by password", True),
    Chain("manila to barbican", ("manila", "barbican"), "none: Manila exchanges the token",
          "encrypted shares", True),
    Chain("neutron to designate", ("neutron", "designate"), "none: Neutron sends the bare token",
          "DNS records of ports", True),
)


def prepare(context: DiagnosticContext) -> None:
    """Make, while the user's token lives, an image that is too large for what will be asked with
    it."""
    glance = _served(context, "glance")
    if not context.options.active or glance is None or _served(context, "cinder") is None:
        return
    name = f"image {context.mark}"
    context.cleanup.add(name, lambda: _remove_named(
        context, glance, "/images", "images", context.mark))
    made = context.probe.ask(f"{glance.url}/images", Speaker.USER, "POST", json={
        "name": context.mark, "disk_format": "raw", "container_format": "bare",
        "visibility": "private", "min_disk": 2, "min_ram": 1 << 20})
    if made.status == 201:
        context.image = str(made.body["id"])
        stored = context.probe.ask(f"{glance.url}/images/{context.image}/file", Speaker.USER,
                                   "PUT", data=b"karbor doctor")
        if stored.good:
            return
        made = stored
    context.image = ""
    context.no_image = f"no image could be made: {failure(made)}"


def look_at_chains(context: DiagnosticContext) -> None:
    """Ask for chains of services with the probe token, right after its end."""
    probes: Sequence[tuple[str, str, Callable[[DiagnosticContext, Served], None]]] = (
        ("cinder to glance", "cinder", _cinder_to_glance),
        ("nova-api to glance", "nova", _nova_to_glance),
        ("nova-api to cinder", "nova", _nova_to_cinder),
        ("nova-api to neutron", "nova", _nova_to_neutron))
    for name, first, look in probes:
        served = _served(context, first)
        if served is None or served.type in context.silent:
            continue
        if served.type in context.refusing:
            context.add(CHECK, name, Verdict.UNPROVEN, f"{served.type} itself refuses the token")
        elif context.void or context.probe_ends is None or context.probe_good is None:
            context.add(CHECK, name, Verdict.UNPROVEN, context.void or context.why_unprobed
                        or "there is no expired token to ask with",
                        fix=f"{SERVICE_USER}, in {first}.conf")
        else:
            look(context, served)


def tell_unseen(context: DiagnosticContext) -> None:
    names = {served.name for served in context.served}
    for chain in UNSEEN:
        if all(need in names for need in chain.needs):
            context.add(
                CHECK, chain.name, Verdict.UNPROVEN, "cannot be seen from outside",
                f"matters for: {chain.when}", chain.option)
    if "cinder" in names and "swift" in names and not context.backed_up:
        context.add(
            CHECK, "cinder-backup to swift", Verdict.UNPROVEN,
            "not tried: that needs a volume of 1 GiB and its backup",
            "by default backups that begin after the token's end fail, and those under way too",
            "karbor doctor --active --deep; backup_swift_service_auth = true and "
            f"{SERVICE_USER}, in cinder.conf of cinder-backup; or backup_swift_auth = single_user")
    context.add(
        "revocation", "Keystone", Verdict.UNPROVEN, "not tried: that needs a revocation",
        "a token that was revoked may be good again after Keystone has forgotten why",
        "[revoke] expiration_buffer of at least allow_expired_window")


def _cinder_to_glance(context: DiagnosticContext, cinder: Served) -> None:
    """Ask for a volume that is smaller than the image's min_disk: Cinder looks at the image and
    refuses."""
    name, option = "cinder to glance", f"{SERVICE_USER}, in cinder.conf"
    if not context.image:
        context.add(CHECK, name, Verdict.UNPROVEN,
                    context.no_image or "not tried: that needs a throw-away image",
                    fix=f"karbor doctor --active; {option}")
        return
    _ask_refusable(
        context, Hop(name, "cinder has looked at an image with an expired token", option,
                     "making volumes from images and images from volumes"), cinder, "volumes",
        {"volume": {"name": context.mark, "size": 1, "imageRef": context.image}}, "disk", "")


def _nova_to_glance(context: DiagnosticContext, nova: Served) -> None:
    """Ask for a server that is too small for the image's min_ram: Nova looks at the image and
    refuses."""
    flavors = context.probe.ask(f"{nova.url}/flavors?limit=1", Speaker.USER)
    if not context.image or not flavors.good or not flavors.body["flavors"]:
        context.add(CHECK, "nova-api to glance", Verdict.UNPROVEN,
                    context.no_image or "not tried: that needs a throw-away image and a flavor",
                    fix="karbor doctor --active")
        return
    _ask_refusable(
        context, Hop("nova-api to glance", "nova-api has looked at an image with an expired token",
                     _nova_option("glance-api.conf"), "booting servers from images"), nova,
        "servers", {"server": {
            "name": context.mark, "imageRef": context.image, "networks": "none",
            "flavorRef": flavors.body["flavors"][0]["id"]}}, "memory", "compute 2.90")


def _nova_to_cinder(context: DiagnosticContext, nova: Served) -> None:
    """Ask Nova's old face of volumes: each of its requests goes on to Cinder."""
    if _served(context, "cinder") is not None:
        _ask_proxy(context, nova, "/os-volumes?limit=1", Hop(
            "nova-api to cinder", "nova-api has looked at volumes with an expired token",
            _nova_option("cinder.conf"), "attaching volumes"))


def _nova_to_neutron(context: DiagnosticContext, nova: Served) -> None:
    if _served(context, "neutron") is not None:
        _ask_proxy(context, nova, "/os-security-groups?limit=1", Hop(
            "nova-api to neutron", "nova-api has looked at security groups with an expired token",
            _nova_option("neutron.conf"), "booting servers with ports"))


@dataclass(frozen=True)
class Hop:
    """From one service to the next: what is said if it works, the option if not, what fails."""

    name: str
    works: str
    option: str
    what: str


def _nova_option(conf: str) -> str:
    return (f"service_token_roles in {conf}, and the role service for the account of "
            "[keystone_authtoken] in nova.conf")


def _ask_refusable(context: DiagnosticContext, hop: Hop, served: Served, kind: str,  # noqa: PLR0917
                   body: Mapping[str, Any], word: str, version: str) -> None:
    """Send a request to make something that is refused for what is in the image, if that was seen.
    What it makes after all is removed."""
    undo = f"{kind} {context.mark}"
    context.cleanup.add(undo, lambda: _remove_named(
        context, served, f"/{kind}", kind, context.mark))
    made = False

    def ask(speaker: Speaker) -> Answer:
        nonlocal made
        answer = context.probe.ask(f"{served.url}/{kind}", speaker, "POST", json=body,
                                   version=version)
        made = made or answer.good or not answer.status
        return answer

    _judge(context, hop, ask, lambda answer: answer.status == 400 and word in answer.text.lower())
    if not made:
        context.cleanup.forget(undo)


def _ask_proxy(context: DiagnosticContext, nova: Served, path: str, hop: Hop) -> None:
    _judge(context, hop, lambda speaker: context.probe.ask(
        f"{nova.url}{path}", speaker, version="compute 2.1"), lambda answer: answer.good)


def _judge(context: DiagnosticContext, hop: Hop, ask: Callable[[Speaker], Answer],
           passed: Callable[[Answer], bool]) -> None:
    """Judge an answer. A refusal counts only if a living token is not refused, and Keystone still
    knows the other.
    """
    answer = ask(Speaker.PROBE_AND_SERVICE)
    if not passed(answer):
        answer = ask(Speaker.PROBE_AND_SERVICE)    # once more: see services._ask_expired
    if passed(answer):
        context.add(CHECK, hop.name, Verdict.OK, hop.works)
        return
    alive = ask(Speaker.USER_AND_SERVICE)
    if not passed(alive):
        context.add(CHECK, hop.name, Verdict.UNPROVEN,
                    f"a living token is refused too: {failure(alive) or alive.status}",
                    fix=hop.option)
    elif not context.judged_by_probe_token():
        context.add(CHECK, hop.name, Verdict.UNPROVEN, context.void, fix=hop.option)
    else:
        verdict, means = context.beyond_token(f"fails at {hop.what}")
        context.add(CHECK, hop.name, verdict, "refused with an expired token, though not with a "
                    f"living one: {failure(answer) or answer.status}", means, hop.option)


def _served(context: DiagnosticContext, name: str) -> Served | None:
    return next((served for served in context.served if served.name == name
                 and served.type not in context.silent), None)


def _remove_named(
    context: DiagnosticContext, served: Served, path: str, key: str, name: str
) -> Answer:
    """Return everything of this name. Names of the doctor's are unique."""
    found = context.probe.ask(f"{served.url}{path}?name={name}", Speaker.USER)
    if not found.good:
        return found
    for one in found.body[key]:
        if one["name"] == name:
            answer = context.probe.ask(f"{served.url}{path}/{one['id']}", Speaker.USER, "DELETE")
            if not answer.good and answer.status != 404:
                return answer
    return Answer(204)
