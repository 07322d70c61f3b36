"""Endpoint settings: region and interface of a cloud's services, and how their TLS is verified.

They hold no secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class EndpointSettings:
    """What a clouds.yaml entry says beside the login. `verify` is a CA file, or whether to verify
    at all; `endpoints` are addresses it gives for services, by service type."""

    region_name: str | None = None
    interface: str = "public"
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"region_name": self.region_name, "interface": self.interface,
                "verify": self.verify, "endpoints": dict(self.endpoints),
                "cert": list(self.cert) if isinstance(self.cert, tuple) else self.cert}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> EndpointSettings:
        cert = raw.get("cert")
        return cls(raw.get("region_name"), raw.get("interface") or "public",
                   raw.get("verify", True), (cert[0], cert[1]) if isinstance(cert, list) else cert,
                   dict(raw.get("endpoints") or {}))
