"""Trove: database instances. No microversions."""

from karbor.clients.service import Service

TROVE = Service(name="trove", types=("database",), version_path="/v1.0/%(project_id)s",
                sdk="database")
