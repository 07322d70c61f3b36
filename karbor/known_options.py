"""Every option that a karbor.conf may have: Karbor's own, and those of the libraries beside it.

`list_opts` is the entry point of `oslo.config.opts`: with it oslo.config's own tools know Karbor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading
from oslo_config import cfg

from karbor import config

ACCOUNTS = ("service_user", "trustee", "keystone_authtoken")
"""Sections that hold a login: their options depend on their auth_type."""

NAMESPACES = ("oslo.log", "oslo.policy", "keystonemiddleware.auth_token",
              "oslo.middleware.http_proxy_to_wsgi")
"""Of `oslo.config.opts`: whose options stand in a karbor.conf beside Karbor's own."""

MESSAGING = "oslo_messaging_"
"""Sections that begin so, and these options of [DEFAULT], are oslo.messaging's, which is there for
notifications only, and loads a lot to say what its options are."""
MESSAGING_DEFAULTS = frozenset({"transport_url", "control_exchange", "rpc_response_timeout",
                                "executor_thread_pool_size", "rpc_ping_enabled"})

AUDITING = {"audit_middleware_notifications": frozenset({"use_oslo_messaging", "driver", "topics",
                                                          "transport_url"})}
"""Of keystonemiddleware's audit filter, which would load oslo.messaging to say the same."""

_Groups = Sequence[tuple[str, Sequence[cfg.Opt]]]


@dataclass
class Known:
    """Options by group and by the name that stands in a file. Deprecated names are among them."""

    groups: dict[str, dict[str, cfg.Opt]] = field(default_factory=dict)

    def add(self, group: str, options: Sequence[cfg.Opt]) -> None:
        found = self.groups.setdefault(group, {})
        for option in options:
            found[option.dest] = option
            for old in option.deprecated_opts:
                self.groups.setdefault(old.group or group, {})[
                    (old.name or option.dest).replace("-", "_")] = option

    def option(self, group: str, name: str) -> cfg.Opt | None:
        return self.groups.get(group, {}).get(name)

    def homes(self, name: str) -> list[str]:
        """The groups that have an option of this name."""
        return [group for group, options in self.groups.items() if name in options]


def known(auth_types: Mapping[str, str]) -> Known:
    """`auth_types` says for each section of ACCOUNTS, and others that an auth_section names, which
    type of keystoneauth it wants (password, where it says none)."""
    found = Known()
    for group, options in (*config.own_options().items(), *library_opts()):
        found.add(group, options)
    for section in {*ACCOUNTS, *auth_types}:
        found.add(section, loading.get_auth_common_conf_options())
        # Of a type that there is not one thing is wrong, not every option beside it.
        found.add(section, plugin_opts(auth_types.get(section) or "password")
                  or plugin_opts("password"))
    return found


def library_opts() -> Iterator[tuple[str, Sequence[cfg.Opt]]]:
    """Those of NAMESPACES, as the libraries tell them to oslo.config's tools."""
    for namespace in NAMESPACES:
        yield from namespace_opts(namespace)


def namespace_opts(namespace: str) -> Iterator[tuple[str, Sequence[cfg.Opt]]]:
    for entry in entry_points(group="oslo.config.opts", name=namespace):
        for group, options in entry.load()():
            yield str(getattr(group, "name", group) or "DEFAULT"), options


def plugin_opts(auth_type: str) -> Sequence[cfg.Opt]:
    """Those of a type of keystoneauth; none for one that there is not."""
    try:
        found: Sequence[cfg.Opt] = loading.get_auth_plugin_conf_options(auth_type)
    except ksa.NoMatchingPlugin:
        return ()
    return found


def list_opts() -> _Groups:
    """For oslo-config-generator: the accounts' sections with the options of a password."""
    found = []
    for group, options in config.own_options().items():
        more = plugin_opts("password") if group in ACCOUNTS else ()
        found.append((group, [*options, *more]))
    return found
