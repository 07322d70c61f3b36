"""The message bus of oslo.messaging. The only module that imports it, and only where it is wanted.

Its notifier keeps every failure to itself: it writes the event into the log and goes on as if it
had been sent. So the log is where failures are seen; they are taken out of it, because whoever
sends says itself, once, that the bus is away.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from karbor import config
from karbor.domain.errors import BadInput
from karbor.operations.events import ERRORS
from karbor.telemetry.notifications import Send

DRIVER = "messagingv2"
"""Unless [oslo_messaging_notifications] driver names others; without any nothing would be sent."""

_LOGS = ("oslo_messaging.notify.messaging", "oslo_messaging.notify.notifier")


def oslo_messaging() -> ModuleType:
    """Return the library, on threads of the system: it stands on oslo.service, whose default would
    bring eventlet into the process. Raise ImportError when it is not installed."""
    from oslo_service import backend  # noqa: PLC0415 - optional

    backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging as library  # noqa: PLC0415 - only after the choice

    loaded: ModuleType = library
    return loaded


class _Failures(logging.Filter):
    """Takes failures out of the log, of a thread that is sending and of no other."""

    def __init__(self) -> None:
        super().__init__()
        self._of = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if not getattr(self._of, "sending", False) or not record.exc_info:
            return True
        self._of.error = record.exc_info[1]
        return False

    def begin(self) -> None:
        self._of.sending, self._of.error = True, None

    def end(self) -> BaseException | None:
        self._of.sending = False
        error: BaseException | None = self._of.error
        return error


_FAILURES = _Failures()


def sender(conf: config.ConfigOpts, publisher: str) -> Send:
    """Return what sends to the message bus; it connects to nothing yet. Raises BadInput when
    oslo.messaging is not installed, or when what the configuration says of it makes no sense."""
    try:
        library = oslo_messaging()
    except ImportError as error:
        raise BadInput("[notifications] is enabled, and oslo.messaging is not installed",
                       remedy="pip install 'karbor[notifications]'") from error
    try:
        transport = library.get_notification_transport(conf)
        named = _drivers(conf)
        # Each is tried once: that the bus is away is for our own queue to wait for.
        notifier = library.Notifier(transport, publisher, driver=None if named else DRIVER,
                                    retry=0)
    except (library.MessagingException, ValueError) as error:
        # Not its words: they may quote the URL, which holds a password.
        raise BadInput("[notifications] is enabled, and oslo.messaging cannot be used as it is "
                       f"configured: {type(error).__name__}",
                       remedy="see transport_url and [oslo_messaging_notifications]") from None
    for name in _LOGS:
        logging.getLogger(name).addFilter(_FAILURES)    # a second time it changes nothing

    def send(event: str, payload: Mapping[str, Any]) -> None:
        _FAILURES.begin()
        try:
            (notifier.error if event in ERRORS else notifier.info)({}, event, dict(payload))
        finally:
            error = _FAILURES.end()
        if error is not None:
            raise error

    return send


def _drivers(conf: config.ConfigOpts) -> list[str]:
    """Return the drivers that were named. oslo.messaging passes over what it does not know."""
    named = list(conf.oslo_messaging_notifications.driver)
    known = {
        entry_point.name for entry_point in entry_points(group="oslo.messaging.notify.drivers")
    }
    if strange := [one for one in named if one not in known]:
        raise BadInput(f"[oslo_messaging_notifications] driver {', '.join(strange)} is unknown",
                       remedy=f"one of {', '.join(sorted(known))}")
    return named
