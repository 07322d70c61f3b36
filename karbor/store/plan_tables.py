"""Tables of plans and of quotas."""

from __future__ import annotations

from sqlalchemy import Column, Double, Index, Integer, String, Table

from karbor.store.tables import METADATA, SMALL_JSON

PLANS = Table(
    "plans", METADATA,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", String(255)),
    Column("provider_id", String(64), nullable=False),
    Column("status", String(64), nullable=False),
    Column("resources", SMALL_JSON, nullable=False),
    Column("parameters", SMALL_JSON, nullable=False),
    Column("selectors", SMALL_JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double),
    Index(None, "project_id", "created_at"),
)

QUOTAS = Table(
    "quotas", METADATA,
    Column("project_id", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("limit", Integer, nullable=False),
)

QUOTA_CLASSES = Table(
    "quota_classes", METADATA,
    Column("name", String(255), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("limit", Integer, nullable=False),
)
