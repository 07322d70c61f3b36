"""Logs of a service: where and how oslo.log's options say, not on the command line's stderr.

Lines bear the id of the request where one is under way (oslo.context). They hold no secrets (see
`karbor.telemetry.log_filter`), and their files are nobody else's business.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from oslo_config import cfg
from oslo_log import log

from karbor.config import ConfigOpts
from karbor.domain.errors import BadInput
from karbor.known_options import namespace_opts
from karbor.telemetry.log_filter import SecretFilter

PRODUCT = "karbor"

QUIET = ("alembic=WARN", "openstack=INFO", "falcon=WARN")


def set_up(conf: ConfigOpts) -> None:
    """Once, when a service starts and its configuration is read. [DEFAULT] debug counts again after
    `config.reread`. Whatever the process makes from now on is its account's alone (its umask), also
    the file that follows when a log is rotated. Raises BadInput for options that make no sense."""
    os.umask(0o077)
    for group, options in namespace_opts("oslo.log"):
        conf.register_opts(options, None if group == "DEFAULT" else group)
    conf.set_default("default_log_levels", [*log.get_default_log_levels(), *QUIET])
    try:
        log.setup(conf, PRODUCT, fix_eventlet=False)
    except (log.LogConfigError, cfg.Error, ValueError, OSError, RuntimeError) as error:
        raise BadInput(f"logging cannot be set up: {' '.join(str(error).split())}",
                       remedy="see log_file, log_dir, use_journal and log_config_append"
                       ) from error
    for handler in _handlers():
        if isinstance(handler, logging.FileHandler):
            Path(handler.baseFilename).chmod(0o600)     # one that was there before
    conf.register_mutate_hook(_changed)
    _keep_discreet()


def _changed(conf: ConfigOpts, fresh: dict[tuple[str | None, str], tuple[object, object]]) -> None:
    if (None, "debug") in fresh or ("DEFAULT", "debug") in fresh:
        logging.getLogger().setLevel(logging.DEBUG if conf.debug else logging.INFO)


def _keep_discreet() -> None:
    for handler in _handlers():
        handler.addFilter(SecretFilter())


def _handlers() -> set[logging.Handler]:
    every = [logging.getLogger(), *(one for one in logging.root.manager.loggerDict.values()
                                    if isinstance(one, logging.Logger))]
    return {handler for one in every for handler in one.handlers}
