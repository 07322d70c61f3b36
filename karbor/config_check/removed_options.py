"""Options of Karbor 1.x that are called otherwise now, or are not needed any more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Former:
    """What to say of an option, or of a whole section. `now` is where it stands today: (section,
    option); None where nothing took its place."""

    why: str
    now: tuple[str, str] | None = None

    @property
    def hint(self) -> str:
        if self.now is None:
            return f"remove it: {self.why}"
        group, name = self.now
        place = f"[{group}] {name}" if name else f"[{group}]"
        return f"{place} has taken its place" + (f": {self.why}" if self.why else "")


_NO_QUEUE = Former("there are no messages between Karbor's processes, the database has everything")
_COUNTED = Former("quotas are counted, not reserved")
_FILTERS = Former("which filters a list has is part of the API")
_SOCKET = Former("the WSGI server has such options")
_NO_CLIENT = Former("schedules do not ask Karbor's own API")

_DEFAULT = {
    "auth_strategy": Former("Keystone is always asked, there is no noauth"),
    "osapi_karbor_workers": Former("the unit of the WSGI server says how many processes there are"),
    "use_forwarded_for": Former("", ("oslo_middleware", "enable_proxy_headers_parsing")),
    "provider_registry": Former("there is one"),
    "max_concurrent_operations": Former("", ("limits", "provider_operations")),
    "workflow_engine": Former("there is one"),
    **dict.fromkeys(("protection_topic", "protection_manager", "operationengine_topic",
                     "operationengine_manager", "rpc_backend"), _NO_QUEUE),
    "periodic_interval": Former("", ("DEFAULT", "sweep_interval")),
    "periodic_fuzzy_delay": Former("workers look at different times by themselves"),
    "min_interval": Former("", ("schedule", "min_interval")),
    "min_window_time": Former("", ("schedule", "min_window_time")),
    "max_window_time": Former("", ("schedule", "max_window_time")),
    "trigger_poll_interval": Former("", ("schedule", "poll_interval")),
    "time_format": Former("times are in ISO 8601"),
    "scheduling_strategy": Former("there is one"),
    "thread_count": Former("", ("limits", "workers")),
    "retained_operation_log_number": Former("it is days now, not a number",
                                            ("schedule", "history_days")),
    "sync_status_interval": Former("it never did anything"),
    **dict.fromkeys((f"query_{what}_filters" for what in (
        "plan", "restore", "verification", "provider", "checkpoint", "instance",
        "operation_log")), _FILTERS),
    **dict.fromkeys(("reservation_expire", "until_refresh", "max_age", "quota_driver"), _COUNTED),
    "enable_new_services": Former("a new service is enabled; the API disables it"),
    "fatal_exception_format_errors": Former("it was for Karbor's own tests"),
    **dict.fromkeys(("tcp_keepalive", "tcp_keepidle", "tcp_keepalive_interval",
                     "tcp_keepalive_count", "max_header_line", "wsgi_keep_alive",
                     "client_socket_timeout", "backlog", "api_paste_config"), _SOCKET),
}

_SECTIONS = {
    "operationengine": Former("workers do its work"),
    "clients_keystone": Former("it is where [service_user] logs in", ("service_user", "auth_url")),
    "karbor_client": _NO_CLIENT,
    "freezer_client": Former("Freezer is not used any more"),
    "k8s_client": Former("", ("kubernetes", "")),
    "oslo_concurrency": Former("locks are the database's"),
    **{f"{name}_client": Former("", (name, ""))
       for name in ("nova", "cinder", "glance", "neutron", "manila", "trove", "swift")},
}

_DATABASE = Former("Karbor chooses what else there is to say of connections")


def former(group: str, name: str = "") -> Former | None:
    """Return what became of an option of Karbor 1.x; without a name: of a section."""
    if not name:
        return _SECTIONS.get(group)
    if group == "DEFAULT":
        return _DEFAULT.get(name)
    if group == "database":
        return _DATABASE if name in _DATABASE_OPTIONS else None
    return _of_client(group, name)


_DATABASE_OPTIONS = frozenset({
    "backend", "sqlite_synchronous", "slave_connection", "max_pool_size", "min_pool_size",
    "max_overflow", "max_retries", "retry_interval", "idle_timeout", "connection_recycle_time",
    "pool_timeout", "use_db_reconnect", "mysql_sql_mode", "connection_debug", "use_tpool"})


def _of_client(group: str, name: str) -> Former | None:
    """Return what became of an option of a client's section: [nova_client] nova_endpoint → [nova]
    endpoint_override, and so on."""
    service = group.removesuffix("_client")
    now = _SECTIONS.get(group)
    if service == group or now is None or now.now is None:
        return None
    match name.removeprefix(service + "_"):
        case "endpoint":
            return Former("", (service, "endpoint_override"))
        case "catalog_info":
            return Former("TYPE:NAME:INTERFACE are options of their own", (service, "interface"))
        case "ca_cert_file":
            return Former("", ("service_user", "cafile"))
        case "auth_insecure":
            return Former("", ("service_user", "insecure"))
        case _:
            return None


def all_former() -> dict[tuple[str, str], Former]:
    """Return everything in the tables, for tests and documents."""
    found = {("DEFAULT", name): one for name, one in _DEFAULT.items()}
    return found | {(group, ""): one for group, one in _SECTIONS.items()}
