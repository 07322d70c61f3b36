"""JSON over HTTP: what is repeated, what is not, and what errors mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from karbor.clients.cloud import OpenStackCloud
from karbor.domain.errors import (
    CloudBadRequest,
    CloudConflict,
    CloudError,
    CloudForbidden,
    CloudNotFound,
    CloudUnauthorized,
    CloudUnavailable,
    KarborError,
    ObjectDamaged,
    QuotaExceeded,
)
from tests.unit.clients.conftest import Stage
from tests.unit.credentials.wire import Reply, Sent

ID = {"x-openstack-request-id": "req-1"}


@pytest.mark.parametrize(("reply", "error", "said"), [
    (Reply(400, json={"badRequest": {"message": "Invalid volume: status must be available",
                                     "code": 400}}, headers=ID), CloudBadRequest, "status must be"),
    (Reply(422, json={"badRequest": {"message": "other bytes"}}), CloudBadRequest, "other bytes"),
    (Reply(412, body=b"it is there"), CloudConflict, "it is there"),
    (Reply(409, json={"conflictingRequest": {"message": "in use"}}), CloudConflict, "in use"),
    (Reply(401, json={"error": {"message": "no"}}), CloudUnauthorized, "no"),
    (Reply(403, json={"forbidden": {"message": "Policy doesn't allow"}}), CloudForbidden,
     "Policy"),
    (Reply(403, json={"forbidden": {"message": "Quota exceeded for instances"}}), QuotaExceeded,
     "instances"),
    (Reply(409, json={"NeutronError": {"type": "OverQuota", "message": "No more room"}}),
     QuotaExceeded, "No more room"),
    (Reply(409, json={"NeutronError": {"type": "NetworkInUse", "message": "ports"}}),
     CloudConflict, "ports"),
    (Reply(413, json={"overLimit": {"message": "VolumeSizeExceeds"}}), QuotaExceeded, "VolumeSize"),
    (Reply(404, json={"itemNotFound": {"message": "Volume x could not be found."}}),
     CloudNotFound, "could not be found"),
    (Reply(404, body=b"<html><head><title>404 Not Found</title></head><body><h1>404 Not Found</h1>"
           b"No image found with ID x<br /></body></html>"), CloudNotFound, "No image found"),
    (Reply(404, json={"title": "Not Found", "description": "Secret not found."}), CloudNotFound,
     "Secret not found"),
    (Reply(429, json={"overLimit": {"message": "slow"}}), CloudUnavailable, "slow"),
    (Reply(503), CloudUnavailable, "503"),
    (Reply(302, headers={}), CloudError, "302"),
])
def test_an_answer_becomes_the_error_it_means(
        cloud: OpenStackCloud, stage: Stage, reply: Reply, error: type[CloudError],
        said: str) -> None:
    stage.answer = lambda sent: reply
    with pytest.raises(error, match=said) as caught:
        cloud.api("cinder").post("/volumes", {"volume": {}})
    assert type(caught.value) is error
    facts = caught.value.facts()
    assert (facts["service"], facts["request"], facts["status"]) == (
        "cinder", "POST /volumes", reply.status)
    assert facts.get("request_id", "") == reply.headers.get("x-openstack-request-id", "")


def test_a_long_message_is_cut(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(400, body=b"long " * 1000)
    with pytest.raises(CloudBadRequest) as caught:
        cloud.api("cinder").post("/volumes", {})
    assert len(str(caught.value)) < 500


def test_reading_is_repeated_while_the_service_is_away(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(Reply(503), Reply(502), Reply(200, json={"volume": {"id": "v"}}))
    assert cloud.api("cinder").get("/volumes/v") == {"volume": {"id": "v"}}
    assert stage.waited == [0.5, 1.0]


def test_patience_ends(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(503)
    with pytest.raises(CloudUnavailable):
        cloud.api("cinder").get("/volumes/v")
    assert len(stage.sent) == 5
    assert stage.waited == [0.5, 1.0, 2.0, 4.0]


def test_a_service_that_asks_for_patience_gets_it_within_bounds(
        cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(Reply(429, headers={"Retry-After": "3"}),
                 Reply(503, headers={"Retry-After": "86400"}), Reply(200, json={}))
    cloud.api("cinder").get("/limits")
    assert stage.waited == [3.0, 8.0]


def test_a_lost_connection_while_reading_is_repeated(cloud: OpenStackCloud, stage: Stage) -> None:
    failures: list[Exception] = [requests.ConnectionError("reset"), requests.ReadTimeout("silent")]

    def answer(sent: Sent) -> Reply:
        if failures:
            raise failures.pop(0)
        return Reply(200, json={"volumes": []})

    stage.answer = answer
    assert cloud.api("cinder").list("/volumes/detail", "volumes") == []
    assert len(stage.sent) == 3


def test_what_will_not_change_is_not_asked_again(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(403, json={"forbidden": {"message": "no"}})
    with pytest.raises(CloudForbidden):
        cloud.api("cinder").get("/volumes/v")
    assert len(stage.sent) == 1


@pytest.mark.parametrize("call", [
    lambda api: api.post("/backups", {"backup": {}}), lambda api: api.put("/backups/1", {}),
    lambda api: api.patch("/images/1", []), lambda api: api.upload("/images/1/file", [b"x"]),
], ids=["post", "put", "patch", "upload"])
@pytest.mark.parametrize("fault", [Reply(503), requests.ConnectionError("reset"),
                                   requests.ReadTimeout("silent")], ids=["503", "reset", "silent"])
def test_writing_is_never_repeated(
        cloud: OpenStackCloud, stage: Stage, call: Callable[[Any], Any], fault: Any) -> None:
    def answer(sent: Sent) -> Reply:
        if isinstance(fault, Exception):
            raise fault
        return fault

    stage.answer = answer
    with pytest.raises(CloudUnavailable):
        call(cloud.api("cinder"))
    assert len(stage.sent) == 1
    assert stage.waited == []


def test_answers_without_json_count_as_empty_for_writes_and_as_errors_for_reads(
        cloud: OpenStackCloud, stage: Stage) -> None:
    api = cloud.api("nova")
    stage.answer = lambda sent: Reply(202)
    assert api.post("/servers/1/action", {"os-stop": None}) == {}
    stage.answer = lambda sent: Reply(200, body=b"<html>proxy</html>")
    with pytest.raises(CloudError, match="something else than JSON"):
        api.get("/servers/1")


def test_deleting_what_is_gone_is_no_error(cloud: OpenStackCloud, stage: Stage) -> None:
    cloud.api("cinder").delete("/volumes/v", params={"cascade": "true"})
    assert stage.sent[0].query == {"cascade": ["true"]}
    stage.answer = lambda sent: Reply(400, json={"badRequest": {"message": "in-use"}})
    with pytest.raises(CloudBadRequest):
        cloud.api("cinder").delete("/volumes/v")


def test_headers_of_an_answer_have_names_in_lower_case(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(204, headers={"X-Account-Bytes-Used": "5"})
    assert cloud.api("swift").head("")["x-account-bytes-used"] == "5"


def test_a_patch_keeps_its_own_content_type(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(200, json={"id": "i"})
    kind = "application/openstack-images-v2.1-json-patch"
    assert cloud.api("glance").patch("/images/i", [{"op": "add"}],
                                     headers={"Content-Type": kind}) == {"id": "i"}
    assert stage.sent[0].headers["content-type"] == kind
    assert stage.sent[0].body == b'[{"op": "add"}]'


# -- pages ----------------------------------------------------------------------------------------


def test_linked_pages_are_followed_by_their_query_only(
        cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(
        Reply(json={"volumes": [{"id": "1"}], "volumes_links": [
            {"rel": "next", "href": "http://elsewhere/v3/volumes/detail?limit=1&marker=1"}]}),
        Reply(json={"volumes": [{"id": "2"}]}))
    found = cloud.api("cinder").list("/volumes/detail", "volumes", params={"with_count": "True"})
    assert [one["id"] for one in found] == ["1", "2"]
    assert stage.sent[1].path == "/v3/volumes/detail"
    assert stage.sent[1].query == {"with_count": ["True"], "limit": ["1"], "marker": ["1"]}


def test_troves_pages(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(
        Reply(json={"volumes": [{"id": "a"}], "links": [
            {"rel": "next", "href": "http://elsewhere/instances?marker=a&limit=1"}]}),
        Reply(json={"volumes": [{"id": "b"}], "links": []}))
    assert [one["id"] for one in cloud.api("cinder").list("/volumes", "volumes")] == ["a", "b"]
    assert stage.sent[1].query == {"marker": ["a"], "limit": ["1"]}


def test_glances_pages(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(Reply(json={"images": [{"id": "1"}], "next": "/v2/images?limit=1000&marker=1"}),
                 Reply(json={"images": []}))
    assert len(cloud.api("glance").list("/images", "images")) == 1
    assert stage.sent[0].query == {"limit": ["1000"]}


def test_swifts_pages_have_no_enclosing_object(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(Reply(json=[{"name": "a"}, {"name": "b"}]), Reply(json=[{"subdir": "c/"}]),
                 Reply(json=[]))
    assert len(cloud.api("swift").list("/box", "", params={"delimiter": "/"})) == 3
    assert [one.query.get("marker") for one in stage.sent] == [None, ["b"], ["c/"]]


def test_a_page_that_fails_fails_the_list(cloud: OpenStackCloud, stage: Stage) -> None:
    first = Reply(json={"volumes": [{"id": "1"}], "volumes_links": [
        {"rel": "next", "href": "/x?marker=1"}]})
    stage.answer = lambda sent: first if "marker" not in sent.query else Reply(403)
    with pytest.raises(CloudForbidden):
        cloud.api("cinder").list("/volumes/detail", "volumes")


def test_a_marker_that_went_away_begins_the_list_anew(
        cloud: OpenStackCloud, stage: Stage) -> None:
    first = Reply(json={"volumes": [{"id": "1"}], "volumes_links": [
        {"rel": "next", "href": "/x?marker=1"}]})
    stage.script(first, Reply(404, json={"itemNotFound": {"message": "marker"}}),
                 Reply(json={"volumes": [{"id": "2"}]}))
    assert cloud.api("cinder").list("/volumes/detail", "volumes") == [{"id": "2"}]


def test_circles_and_answers_without_the_list_are_errors(
        cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(json={"volumes": [{"id": "1"}], "volumes_links": [
        {"rel": "next", "href": "/x?marker=1"}]})
    with pytest.raises(CloudError, match="circle"):
        cloud.api("cinder").list("/volumes/detail", "volumes")
    stage.answer = lambda sent: Reply(json={"choices": []})
    with pytest.raises(CloudError, match="no list 'volumes'"):
        cloud.api("cinder").list("/volumes/detail", "volumes")


# -- microversions --------------------------------------------------------------------------------


def test_a_microversion_goes_out_with_every_request_and_can_be_chosen_for_one(
        cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(json={})
    cloud.api("cinder").get("/volumes/v")
    cloud.api("nova").get("/servers/s", version="2.100")
    cloud.api("glance").get("/images/i")
    cinder, nova, glance = (one.headers for one in stage.sent)
    assert cinder["openstack-api-version"] == "volume 3.70"
    assert nova["openstack-api-version"] == "compute 2.100"
    assert nova["x-openstack-nova-api-version"] == "2.100"
    assert "openstack-api-version" not in glance


def test_an_older_cloud_is_asked_once_what_it_offers(
        opened: Callable[..., OpenStackCloud], stage: Stage) -> None:
    def answer(sent: Sent) -> Reply:
        if sent.path == "/volume/v3/":
            return Reply(json={"versions": [{"id": "v3.0", "version": "3.59"}]})
        if sent.headers["openstack-api-version"] != "volume 3.59":
            return Reply(406, json={"computeFault": {"message": "not supported"}})
        return Reply(202, json={"backup": {"id": "b"}})

    stage.answer = answer
    text = "[cinder]\nendpoint_override = http://c.test/volume/v3/%(project_id)s"
    assert opened(text).api("cinder").post("/backups", {}) == {"backup": {"id": "b"}}
    opened(text).api("cinder").get("/backups/b")
    assert [one.method for one in stage.sent] == ["POST", "GET", "POST", "GET"]
    with pytest.raises(CloudError, match="not supported"):
        opened(text).api("cinder").get("/backups/b", version="3.64")


# -- streams --------------------------------------------------------------------------------------


def test_a_download_is_whole_or_an_error(cloud: OpenStackCloud, stage: Stage) -> None:
    api = cloud.api("glance")
    stage.answer = lambda sent: Reply(body=b"x" * 3_000_000)
    assert b"".join(api.download("/images/i/file")) == b"x" * 3_000_000
    assert stage.sent[0].headers["accept-encoding"] == "identity"
    stage.answer = lambda sent: Reply(body=b"x" * 10, headers={"Content-Length": "20"})
    with pytest.raises(CloudUnavailable, match="broke off"):
        list(api.download("/images/i/file"))


def test_a_body_of_unknown_length_is_refused(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(body=b"x", headers={"Content-Length": ""})
    with pytest.raises(CloudError, match="does not say how long"):
        list(cloud.api("glance").download("/images/i/file"))


def test_a_download_goes_on_where_it_ended(cloud: OpenStackCloud, stage: Stage) -> None:
    api = cloud.api("glance")
    stage.answer = lambda sent: Reply(206, body=b"tail")
    assert b"".join(api.download("/f", offset=5)) == b"tail"
    assert stage.sent[0].headers["range"] == "bytes=5-"
    stage.answer = lambda sent: Reply(200, body=b"head-tail")      # it ignores the range
    assert b"".join(api.download("/f", offset=5)) == b"tail"
    stage.answer = lambda sent: Reply(416)
    assert b"".join(api.download("/f", offset=5)) == b""
    stage.answer = lambda sent: Reply(404)
    with pytest.raises(CloudNotFound):
        list(api.download("/f", offset=5))


def test_opening_a_download_is_repeated(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.script(Reply(503), Reply(body=b"bytes"))
    assert b"".join(cloud.api("glance").download("/f")) == b"bytes"


def test_an_upload_of_known_size_is_announced(cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: Reply(204)
    api = cloud.api("glance")
    api.upload("/f", iter([b"ab", b"", b"c"]), size=3)
    api.upload("/f", iter([]), size=0)
    api.upload("/f", iter([b"a" * 1_000_000]))
    known, empty, unknown = stage.sent
    assert (known.body, known.headers["content-length"]) == (b"abc", "3")
    assert "transfer-encoding" not in known.headers
    assert (empty.body, empty.headers["content-length"]) == (b"", "0")
    assert (len(unknown.body), unknown.headers["transfer-encoding"]) == (1_000_000, "chunked")


@pytest.mark.parametrize("body", [[b"ab"], [b"abcd"], [b"abc", b"d"], []])
def test_a_body_of_another_size_than_announced_is_not_stored(
        cloud: OpenStackCloud, stage: Stage, body: list[bytes]) -> None:
    stage.answer = lambda sent: Reply(204)
    with pytest.raises(CloudError, match="than the 3 bytes"):
        cloud.api("glance").upload("/f", iter(body), size=3)
    assert stage.sent == []


def test_damage_found_while_uploading_reaches_the_caller(cloud: OpenStackCloud) -> None:
    def damaged() -> Iterator[bytes]:
        yield b"good"
        raise ObjectDamaged("checksum")

    with pytest.raises(ObjectDamaged):
        cloud.api("glance").upload("/f", damaged())


def test_an_upload_refused_for_its_token_may_be_begun_anew(
        cloud: OpenStackCloud, stage: Stage) -> None:
    stage.answer = lambda sent: (Reply(401) if sent.headers["x-auth-token"] == "token-demo-1"
                                 else Reply(204))
    api = cloud.api("glance")
    with pytest.raises(CloudUnavailable) as caught:
        api.upload("/f", iter([b"x"]))
    assert caught.value.status == 401
    assert len(stage.sent) == 1
    api.upload("/f", iter([b"x"]))
    stage.answer = lambda sent: Reply(401)
    with pytest.raises(CloudUnauthorized):
        api.upload("/f", iter([b"x"]))


def test_keystone_being_away_is_waited_for_while_reading(
        cloud: OpenStackCloud, stage: Stage) -> None:
    api = cloud.api("cinder")
    cloud.factory.session.auth._login = None        # as at the end of a token's life
    stage.keystone.login = Reply(503)
    stage.answer = lambda sent: Reply(json={})

    class Back(list[float]):
        def append(self, seconds: float) -> None:
            super().append(seconds)
            if len(self) == 2:
                stage.keystone.login = None

    stage.waited = Back()
    cloud.factory.session.auth._clock = stage.keystone.clock
    assert api.get("/limits") == {}
    assert len(stage.waited) >= 2


def test_errors_are_those_of_the_domain(cloud: OpenStackCloud, stage: Stage) -> None:
    def answer(sent: Sent) -> Reply:
        raise requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
    stage.answer = answer
    with pytest.raises(KarborError, match="cinder has a certificate that is not trusted"
                       ) as caught:
        cloud.api("cinder").get("/volumes/v")
    assert not caught.value.transient


def test_the_request_behind_a_thing_is_known_when_it_fails_later(
        cloud: OpenStackCloud, stage: Stage) -> None:
    volume, backup = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "01")
    stage.answer = lambda sent: Reply(202, json={"backup": {"id": backup}}, headers=ID)
    assert cloud.asked(backup) == {}
    cloud.api("cinder").post("/backups", {"backup": {"volume_id": volume}})
    told = {"service": "cinder", "request": "POST /backups", "request_id": "req-1"}
    assert cloud.asked(backup) == cloud.asked(volume) == told
    stage.answer = lambda sent: Reply(503)
    with pytest.raises(CloudUnavailable):
        cloud.api("cinder").delete(f"/backups/{backup}")
    assert cloud.asked(backup) == told      # what was not answered has no id


@pytest.mark.parametrize(("status", "overtaken", "error"), [
    (401, True, CloudUnavailable), (403, True, CloudUnavailable), (404, True, CloudNotFound),
    (401, False, CloudUnauthorized), (403, False, CloudForbidden)])
def test_a_refusal_of_a_request_whose_credential_had_its_time_meanwhile_is_for_now_only(
        *, cloud: OpenStackCloud, stage: Stage, monkeypatch: pytest.MonkeyPatch, status: int,
        overtaken: bool, error: type[CloudError]) -> None:
    stage.answer = lambda sent: Reply(status, json={"forbidden": {"message": "no"}}, headers=ID)
    monkeypatch.setattr(cloud.factory.session, "watch", lambda: lambda: overtaken)
    with pytest.raises(error, match="no") as caught:
        cloud.api("nova").post("/servers/x/action", {"createImage": {}})
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.request_id) == (status, "req-1")
