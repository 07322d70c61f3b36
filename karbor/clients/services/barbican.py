"""Barbican: secrets."""

from karbor.clients.service import Service

BARBICAN = Service(name="barbican", types=("key-manager",), version_path="/v1",
                   sdk="key_manager", page=100)    # 10 otherwise
