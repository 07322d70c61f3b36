"""oslo.messaging, which is optional: on threads of the system, never on eventlet's."""

from __future__ import annotations

from types import ModuleType


def oslo_messaging() -> ModuleType:
    """The library. It stands on oslo.service, whose default would bring eventlet into a process
    that lives by threads. Raises ImportError when it is not installed."""
    from oslo_service import backend  # noqa: PLC0415 - optional

    backend.init_backend(backend.BackendType.THREADING)
    import oslo_messaging as library  # noqa: PLC0415 - only after the choice

    loaded: ModuleType = library
    return loaded
