"""Audit: each request of the API as a CADF event, told by keystonemiddleware's own filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from karbor.config import ConfigOpts
from karbor.domain.errors import BadInput
from karbor.known_options import namespace_opts

_MESSAGING = "oslo_messaging_notifications"

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def audited(conf: ConfigOpts, application: Wsgi) -> Wsgi:
    """The application behind the filter, or, where [audit] is not enabled, as it is. It belongs
    between Keystone's authentication, which says who asks, and what answers. Raises BadInput."""
    if not conf.audit.enabled:
        return application
    if not Path(conf.audit.map_file).is_file():
        raise BadInput(f"[audit] map_file: there is no file {conf.audit.map_file}",
                       remedy="copy etc/karbor/api_audit_map.conf there")
    from karbor.telemetry import message_bus  # noqa: PLC0415 - only where it is wanted

    try:
        message_bus.oslo_messaging()
    except ImportError as error:
        raise BadInput("[audit] is enabled, and oslo.messaging is not installed",
                       remedy="pip install 'karbor[notifications]'") from error
    from keystonemiddleware.audit import AuditMiddleware  # noqa: PLC0415 - loads oslo.messaging

    _try_once(conf)

    filtered: Wsgi = AuditMiddleware(
        application, service_name="karbor", audit_map_file=conf.audit.map_file,
        ignore_req_list=",".join(conf.audit.ignore_methods), oslo_config_config=conf)
    return filtered


def _try_once(conf: ConfigOpts) -> None:
    """The filter sends while the request waits. Unless the operator says otherwise, it does not
    wait for a bus that is away: oslo.messaging's own default is to try for ever."""
    for group, options in namespace_opts("oslo.messaging"):
        if group == _MESSAGING:
            conf.register_opts(options, group)
    conf.set_default("retry", 0, _MESSAGING)
