"""Which services the doctor sees in a catalog."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from karbor import config
from karbor.clients.cloud_probe import CloudProbe

CATALOG = [{"type": type, "name": name, "endpoints": [
    {"interface": "public", "region_id": "one", "region": "one", "url": url}]}
    for type, name, url in (("volumev3", "cinderv3", "http://cinder/v3/p"),
                            ("block-storage", "cinder", "http://cinder/v3/p"),
                            ("identity", "keystone", "http://keystone/v3"))]


@pytest.mark.parametrize("catalog", list(itertools.permutations(CATALOG)))
def test_a_service_under_two_names_is_one_by_its_own(catalog: Any, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "karbor.conf"
    file.write_text("[DEFAULT]\n")
    endpoint_settings = SimpleNamespace(
        interface="public", region_name="one", endpoints={}, verify=True
    )
    access = SimpleNamespace(project_id="p", has_service_catalog=lambda: True,
                             service_catalog=SimpleNamespace(catalog=list(catalog)))
    monkeypatch.setattr("karbor.clients.cloud_probe.KeystoneProbe", lambda *_: SimpleNamespace(
        own=SimpleNamespace(endpoint_settings=endpoint_settings), access=access))
    monkeypatch.setattr("karbor.clients.cloud_probe.TrustProbe", lambda _keystone: None)
    probe = CloudProbe(config.load([file]), None, None)     # type: ignore[arg-type]
    [served] = probe.services()
    assert (served.type, served.name) == ("block-storage", "cinder")
