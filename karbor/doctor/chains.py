"""Chains: services that ask each other in the user's name.

Each service passes the user's token on with its own service token, or without one: whether that
outlasts the user's token is a matter of that service's configuration, not of Karbor's. Some of
these chains show themselves in a request that is refused for another reason, afterwards; those are
asked. Of the others the option to look at is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from karbor.doctor.finding import Verdict
from karbor.doctor.patient import Patient, failure
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


def prepare(patient: Patient) -> None:
    """While the user's token lives: an image that is too large for what will be asked with it."""
    glance = _served(patient, "glance")
    if not patient.wishes.active or glance is None or _served(patient, "cinder") is None:
        return
    name = f"image {patient.mark}"
    patient.cleanup.add(name, lambda: _remove_named(
        patient, glance, "/images", "images", patient.mark))
    made = patient.probe.ask(f"{glance.url}/images", Speaker.USER, "POST", json={
        "name": patient.mark, "disk_format": "raw", "container_format": "bare",
        "visibility": "private", "min_disk": 2, "min_ram": 1 << 20})
    if made.status == 201:
        patient.image = str(made.body["id"])
        stored = patient.probe.ask(f"{glance.url}/images/{patient.image}/file", Speaker.USER,
                                   "PUT", data=b"karbor doctor")
        if stored.good:
            return
        made = stored
    patient.image = ""
    patient.no_image = f"no image could be made: {failure(made)}"


def look_at_chains(patient: Patient) -> None:
    """With the canary, right after its end."""
    probes: Sequence[tuple[str, str, Callable[[Patient, Served], None]]] = (
        ("cinder to glance", "cinder", _cinder_to_glance),
        ("nova-api to glance", "nova", _nova_to_glance),
        ("nova-api to cinder", "nova", _nova_to_cinder),
        ("nova-api to neutron", "nova", _nova_to_neutron))
    for name, first, look in probes:
        served = _served(patient, first)
        if served is None or served.type in patient.silent:
            continue
        if served.type in patient.refusing:
            patient.add(CHECK, name, Verdict.UNPROVEN, f"{served.type} itself refuses the token")
        elif patient.void or patient.canary_ends is None or patient.canary_good is None:
            patient.add(CHECK, name, Verdict.UNPROVEN, patient.void or patient.no_canary
                        or "there is no expired token to ask with",
                        fix=f"{SERVICE_USER}, in {first}.conf")
        else:
            look(patient, served)


def tell_unseen(patient: Patient) -> None:
    names = {one.name for one in patient.served}
    for chain in UNSEEN:
        if all(one in names for one in chain.needs):
            patient.add(
                CHECK, chain.name, Verdict.UNPROVEN, "cannot be seen from outside",
                f"matters for: {chain.when}", chain.option)
    if "cinder" in names and "swift" in names and not patient.backed_up:
        patient.add(
            CHECK, "cinder-backup to swift", Verdict.UNPROVEN,
            "not tried: that needs a volume of 1 GiB and its backup",
            "by default backups that begin after the token's end fail, and those under way too",
            "karbor doctor --active --deep; backup_swift_service_auth = true and "
            f"{SERVICE_USER}, in cinder.conf of cinder-backup; or backup_swift_auth = single_user")
    if patient.wishes.hours:
        patient.add(
            "revocation", "Keystone", Verdict.UNPROVEN, "not tried: that needs a revocation",
            "a token that was revoked may be good again after Keystone has forgotten why",
            "[revoke] expiration_buffer of at least allow_expired_window")


def _cinder_to_glance(patient: Patient, cinder: Served) -> None:
    name = "cinder to glance"
    if not patient.image:
        patient.add(CHECK, name, Verdict.UNPROVEN,
                    patient.no_image or "not tried: that needs a throw-away image",
                    fix=f"karbor doctor --active; {SERVICE_USER}, in cinder.conf")
        return
    undo = f"volume {patient.mark}"
    patient.cleanup.add(undo, lambda: _remove_named(
        patient, cinder, "/volumes", "volumes", patient.mark))
    answer = patient.probe.ask(
        f"{cinder.url}/volumes", Speaker.CANARY_VOUCHED, "POST",
        json={"volume": {"name": patient.mark, "size": 1, "imageRef": patient.image}})
    if answer.status == 400:
        patient.cleanup.remove(undo)
    seen = "cinder has looked at an image with an expired token"
    _judge(patient, name, answer, passed=answer.status == 400 and "disk" in answer.text.lower(),
           seen=seen, option=f"{SERVICE_USER}, in cinder.conf", what="making volumes from images "
           "and images from volumes")


def _nova_to_glance(patient: Patient, nova: Served) -> None:
    """A server that is too small for the image's min_ram: Nova looks at the image and refuses."""
    name = "nova-api to glance"
    flavors = patient.probe.ask(f"{nova.url}/flavors?limit=1", Speaker.USER)
    if not patient.image or not flavors.good or not flavors.body["flavors"]:
        return
    undo = f"server {patient.mark}"
    patient.cleanup.add(undo, lambda: _remove_named(
        patient, nova, "/servers", "servers", patient.mark))
    answer = patient.probe.ask(
        f"{nova.url}/servers", Speaker.CANARY_VOUCHED, "POST", version="compute 2.90",
        json={"server": {"name": patient.mark, "imageRef": patient.image, "networks": "none",
                         "flavorRef": flavors.body["flavors"][0]["id"]}})
    if answer.status == 400:
        patient.cleanup.remove(undo)
    _judge(patient, name, answer, passed=answer.status == 400 and "memory" in answer.text.lower(),
           seen="nova-api has looked at an image with an expired token",
           option="service_token_roles in glance-api.conf, and the role service for the account of "
           "[keystone_authtoken] in nova.conf", what="booting servers from images")


def _nova_to_cinder(patient: Patient, nova: Served) -> None:
    """Nova's old face of volumes: each of its requests goes on to Cinder."""
    if _served(patient, "cinder") is None:
        return
    answer = patient.probe.ask(f"{nova.url}/os-volumes?limit=1", Speaker.CANARY_VOUCHED,
                               version="compute 2.1")
    if answer.status in (404, 410):
        patient.add(CHECK, "nova-api to cinder", Verdict.UNPROVEN,
                    "this Nova does not show volumes any more",
                    fix=f"{SERVICE_USER}, in nova.conf")
        return
    _judge(patient, "nova-api to cinder", answer, passed=answer.good,
           seen="nova-api has looked at volumes with an expired token",
           option="service_token_roles in cinder.conf, and the role service for the account of "
           "[keystone_authtoken] in nova.conf", what="attaching volumes")


def _nova_to_neutron(patient: Patient, nova: Served) -> None:
    if _served(patient, "neutron") is None:
        return
    answer = patient.probe.ask(f"{nova.url}/os-security-groups?limit=1", Speaker.CANARY_VOUCHED,
                               version="compute 2.1")
    if answer.status in (404, 410):
        patient.add(CHECK, "nova-api to neutron", Verdict.UNPROVEN,
                    "this Nova does not show security groups any more",
                    fix=f"{SERVICE_USER}, in nova.conf")
        return
    _judge(patient, "nova-api to neutron", answer, passed=answer.good,
           seen="nova-api has looked at security groups with an expired token",
           option="service_token_roles in neutron.conf, and the role service for the account of "
           "[keystone_authtoken] in nova.conf", what="booting servers with ports")


def _judge(patient: Patient, name: str, answer: Answer, *, passed: bool, seen: str, option: str,
           what: str) -> None:
    if passed:
        patient.add(CHECK, name, Verdict.OK, seen)
    elif not patient.judged_by_canary():
        patient.add(CHECK, name, Verdict.UNPROVEN, patient.void, fix=option)
    elif answer.status in (400, 409, 413, 429):
        patient.add(CHECK, name, Verdict.UNPROVEN,
                    f"refused for another reason before it came to that: {failure(answer)}",
                    fix=option)
    else:
        verdict, means = patient.beyond_token(f"fails at {what}")
        patient.add(CHECK, name, verdict, f"refused with an expired token: {failure(answer)}",
                    means, option)


def _served(patient: Patient, name: str) -> Served | None:
    return next((one for one in patient.served if one.name == name
                 and one.type not in patient.silent), None)


def _remove_named(patient: Patient, served: Served, path: str, key: str, name: str) -> Answer:
    """Everything of this name. Names of the doctor's are unique."""
    found = patient.probe.ask(f"{served.url}{path}?name={name}", Speaker.USER)
    if not found.good:
        return found
    for one in found.body[key]:
        if one["name"] == name:
            answer = patient.probe.ask(f"{served.url}{path}/{one['id']}", Speaker.USER, "DELETE")
            if not answer.good and answer.status != 404:
                return answer
    return Answer(204)
