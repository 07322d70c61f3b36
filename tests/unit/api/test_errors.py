"""Errors → HTTP, for the whole tree."""

from __future__ import annotations

import logging

import msgspec
import pytest

from karbor.api.errors import body_of, rendered, status_of
from karbor.domain import errors
from karbor.domain.errors import KarborError

STATUSES = {
    errors.BadInput: 400, errors.UnknownName: 400, errors.AmbiguousName: 400,
    errors.NotFound: 404, errors.Conflict: 400, errors.InUse: 424, errors.Forbidden: 403,
    errors.OverQuota: 413, errors.NoLastingCredential: 400, errors.TokenRejected: 401,
    errors.KeystoneUnreachable: 503, errors.ServiceUserUnfit: 500, errors.CloudError: 500,
    errors.CloudUnavailable: 503, errors.CloudNotFound: 404, errors.BankFull: 500,
    errors.BankUnavailable: 503, errors.StoreUnavailable: 503, errors.NewerDatabase: 500,
    errors.DeadlinePassed: 500}


@pytest.mark.parametrize(("kind", "status"), STATUSES.items(), ids=str)
def test_statuses(kind: type[KarborError], status: int) -> None:
    assert status_of(kind("x")) == status


def family(kind: type[KarborError]) -> set[type[KarborError]]:
    return {kind}.union(*(family(one) for one in kind.__subclasses__()))


def test_every_transient_error_says_that_it_may_work_later() -> None:
    transient = [kind for kind in family(KarborError)
                 if kind.transient and kind.__module__ == "karbor.domain.errors"]
    assert transient
    for kind in transient:
        assert status_of(kind("x")) == 503, kind


def test_what_is_told_has_the_remedy() -> None:
    error = errors.Conflict("It is busy.", remedy="wait")
    assert rendered(error, "req-1") == (400, msgspec.json.encode(
        {"badRequest": {"code": 400, "message": "It is busy. (wait)"}}))


def test_what_is_nobodys_business_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, body = rendered(errors.NewerDatabase("/var/lib/karbor is newer"), "req-1")
    assert status == 500
    assert b"/var" not in body
    assert b"req-1" in body
    assert "/var/lib/karbor is newer" in caplog.text


def test_every_error_has_one_member_with_code_and_message() -> None:
    for status in (400, 403, 404, 413, 424, 500, 501, 503, 599):
        [told] = body_of(status, "m").values()
        assert (told["code"], told["message"]) == (status, "m")
    assert list(body_of(424, "m")) == list(body_of(500, "m")) == ["computeFault"]
