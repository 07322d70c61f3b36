"""The map of Karbor's paths, as keystonemiddleware itself reads it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import webob

from karbor import config, messaging
from karbor.api.audit import audited
from karbor.domain.errors import BadInput

messaging.oslo_messaging()
OpenStackAuditApi = importlib.import_module("keystonemiddleware.audit").OpenStackAuditApi
MAP = Path(__file__).parents[3] / "etc" / "karbor" / "api_audit_map.conf"


@pytest.mark.parametrize(("method", "path", "action", "uri"), [
    ("POST", "/v1/p/plans", "create", "service/data-protect/plans"),
    ("GET", "/v1/p/plans", "read/list", "service/data-protect/plans"),
    ("DELETE", "/v1/p/providers/x/checkpoints/y", "delete",
     "service/data-protect/providers/provider/checkpoints/checkpoint"),
])
def test_requests_have_names(method: str, path: str, action: str, uri: str) -> None:
    api = OpenStackAuditApi(str(MAP))
    request = webob.Request.blank(path, method=method)
    assert api.get_action(request) == action
    assert api._build_typeURI(request, "service/data-protect") == uri


def test_it_is_off_unless_it_is_enabled_and_needs_its_map() -> None:
    conf = config.load([])

    def application(_environ: object, _start: object) -> list[bytes]:
        return []

    assert audited(conf, application) is application
    conf.set_override("enabled", True, "audit")
    conf.set_override("map_file", "/nowhere", "audit")
    with pytest.raises(BadInput, match="no file /nowhere"):
        audited(conf, application)
