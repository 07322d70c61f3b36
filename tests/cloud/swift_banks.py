"""A bank in the development cloud's Swift, opened as a new process would."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from requests.adapters import BaseAdapter

from karbor import config
from karbor.banks.swift import SwiftBank
from karbor.clients.swift_account import SwiftAccount
from karbor.credentials.authority import Authority
from karbor.plugin.object_store import OpenStore


def opener(options: Mapping[str, Any], line: BaseAdapter | None = None) -> OpenStore:
    """`account` is what stands in [swift_client], `karbor` are lines of karbor.conf."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "karbor.conf"
        file.write_text(options.get("karbor", "") + f"\n[DEFAULT]\nstate_path = {directory}\n")
        conf = config.load([file])
    authority = Authority(conf, adapter=line)
    return SwiftAccount(lambda: authority, options["account"])


def open_bank(options: Mapping[str, Any], line: BaseAdapter | None = None) -> SwiftBank:
    """`line` stands in place of the network."""
    return SwiftBank({"bank_swift_object_container": options["container"],
                      "create": options.get("create", True), "open_store": opener(options, line)})
