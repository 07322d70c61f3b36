"""Logs of a service: where and how oslo.log's options say, not on the command line's stderr.

Lines bear the id of the request where one is under way (oslo.context). They hold no secrets: what
would write whole bodies is silenced here, whatever the configuration says.
"""

from __future__ import annotations

import logging

from oslo_config import cfg
from oslo_log import log

from karbor.config import ConfigOpts
from karbor.domain.errors import BadInput
from karbor.known_options import namespace_opts

PRODUCT = "karbor"

TELLTALE = ("keystoneauth", "keystoneclient", "urllib3", "http.client", "requests")
"""At DEBUG these tell bodies, headers and addresses: tokens, passwords, user data of servers."""

QUIET = ("alembic=WARN", "openstack=INFO", "falcon=WARN")


class _Discreet(logging.Filter):
    """Lets nothing of TELLTALE pass that is below INFO."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO or record.name.partition(".")[0] not in _FIRST


_FIRST = frozenset(name.partition(".")[0] for name in TELLTALE)


def set_up(conf: ConfigOpts) -> None:
    """Once, when a service starts and its configuration is read. [DEFAULT] debug counts again after
    `config.reread`. Raises BadInput for options that make no sense."""
    for group, options in namespace_opts("oslo.log"):
        conf.register_opts(options, None if group == "DEFAULT" else group)
    conf.set_default("default_log_levels", [*log.get_default_log_levels(), *QUIET])
    try:
        log.setup(conf, PRODUCT, fix_eventlet=False)
    except (log.LogConfigError, cfg.Error, ValueError, OSError, RuntimeError) as error:
        raise BadInput(f"logging cannot be set up: {' '.join(str(error).split())}",
                       remedy="see log_file, log_dir, use_journal and log_config_append"
                       ) from error
    conf.register_mutate_hook(_changed)
    _keep_discreet()


def _changed(conf: ConfigOpts, fresh: dict[tuple[str | None, str], tuple[object, object]]) -> None:
    if (None, "debug") in fresh or ("DEFAULT", "debug") in fresh:
        logging.getLogger().setLevel(logging.DEBUG if conf.debug else logging.INFO)


def _keep_discreet() -> None:
    every = [logging.getLogger(), *(one for one in logging.root.manager.loggerDict.values()
                                    if isinstance(one, logging.Logger))]
    for handler in {handler for one in every for handler in one.handlers}:
        handler.addFilter(_Discreet())
