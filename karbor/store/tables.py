"""All tables, once. What migrations make must equal this; a test compares them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
})

SMALL_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""Small JSON: ids, sizes, checksums. None is SQL NULL, so COALESCE can mean "leave as it is"."""

# Times are seconds since the epoch in double precision: `Float` may have four bytes, and then a
# time of today is rounded to two minutes.
OPERATIONS = Table(
    "operations", METADATA,
    Column("id", String(64), primary_key=True),
    Column("verb", String(16), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("caller", SMALL_JSON, nullable=False),
    Column("credential", SMALL_JSON, nullable=False),   # sealed by its maker
    Column("request", SMALL_JSON, nullable=False),
    Column("checkpoint_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("plan", SMALL_JSON, nullable=False),
    Column("result", SMALL_JSON, nullable=False),
    Column("error", SMALL_JSON),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("fence", Integer, nullable=False, server_default="0"),
    # The trust that still stands in Keystone for it: its id, "wanted" before that is known, "" when
    # there is none (any more).
    Column("trust", String(64), nullable=False, server_default=""),
    # Whether workers drive it: see `Handed`.
    Column("handed", String(16), nullable=False, server_default=""),
    Index(None, "project_id", "created_at"),
    Index(None, "checkpoint_id"),
    Index(None, "state", "handed"),
)

STEPS = Table(
    "steps", METADATA,
    Column("operation_id", String(64), ForeignKey("operations.id", ondelete="CASCADE"),
           primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("resource", Text, nullable=False),
    Column("hook", String(32), nullable=False),
    Column("stage", String(64), nullable=False),
    Column("needs", SMALL_JSON, nullable=False),
    Column("limit", String(64), nullable=False),
    Column("carries", Boolean, nullable=False),
    Column("releases", Integer),
    Column("state", String(16), nullable=False),
    Column("entries", Integer, nullable=False),
    Column("wake_at", Double, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("handle", SMALL_JSON, nullable=False),
    Column("saved", SMALL_JSON, nullable=False),
    Column("progress", SMALL_JSON),
    Column("error", SMALL_JSON),
    Column("entered_at", Double),
    Column("finished_at", Double),
    # What it waits for, and how often it was begun anew: {} as long as there is nothing to say.
    Column("wait", SMALL_JSON, nullable=False, server_default="{}"),
    Column("remade", SMALL_JSON, nullable=False, server_default="{}"),
)

EVENTS = Table(
    "operation_events", METADATA,
    Column("id", Integer, primary_key=True),
    Column("operation_id", String(64), ForeignKey("operations.id", ondelete="CASCADE"),
           nullable=False),
    Column("at", Double, nullable=False),
    Column("text", Text, nullable=False),
    Index(None, "operation_id"),
)

REGISTRATIONS = Table(
    "registrations", METADATA,
    Column("id", String(64), primary_key=True),
    Column("auth_url", Text, nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("application_credential_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sealed", Text, nullable=False),             # its secret
    Column("made_here", Boolean, nullable=False),       # Karbor made it, so Karbor removes it
    Column("expires_at", Double),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "user_id"),
)

PROBE_TOKENS = Table(
    "canaries", METADATA,
    Column("id", String(64), primary_key=True),
    Column("auth_url", Text, nullable=False),
    Column("ends", Double, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("good_at", Double),
    Column("bad_at", Double),
    Column("cause", Text, nullable=False),
)

SERVICES = Table(
    "services", METADATA,
    Column("id", Integer, primary_key=True),
    Column("binary", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("disabled_reason", Text),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("binary", "host"),
)

SERVICE_PROCESSES = Table(
    "service_processes", METADATA,
    Column("binary", String(255), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("machine", String(255), primary_key=True),
    Column("pid", Integer, primary_key=True, autoincrement=False),
    Column("updated_at", Double, nullable=False),
)

# Of the copies of records that are kept in banks.
INSTALLATION = Table(
    "installation", METADATA,
    Column("id", String(64), primary_key=True),     # of this database: its copies bear it
    Column("copied_at", Double),                    # when all projects were last copied
)

RECORD_CHANGES = Table(
    "record_changes", METADATA,
    Column("project_id", String(64), primary_key=True),     # empty: what belongs to no project
    Column("number", Integer, nullable=False),      # grows with each change
    Column("held_until", Double, nullable=False),   # a worker copies it just now, or waits
    Column("since", Double, nullable=False),        # the first change that is not copied yet
    Index(None, "held_until"),
)
