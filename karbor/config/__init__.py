"""Every option of Karbor, grouped, each with the reason why one would change it.

Nothing here is global: `load` returns a ConfigOpts that is handed to whoever needs it. Without
any file every option has a default that works for a single user with a clouds.yaml entry. A new
option goes into the module of its subject; `make config-sample` writes it into the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_config.cfg import ConfigOpts

from karbor.config import cloud, process, telemetry, work
from karbor.config.cloud import SERVICES
from karbor.config.paths import (
    bank_path,
    database_url,
    host,
    key_file,
    provider_directory,
    state_path,
    usual_files,
    vault_index,
)
from karbor.config.work import LIMITED, WAITS
from karbor.domain.errors import BadInput

__all__ = ["LIMITED", "SERVICES", "WAITS", "ConfigOpts", "bank_path", "database_url", "host",
           "key_file", "load", "options", "own_options", "provider_directory",
           "service_user_configured", "state_path", "trustee_section", "usual_files",
           "vault_index"]

_GROUPS = {
    "healthcheck": process.HEALTHCHECK, "http": cloud.HTTP, "limits": work.LIMITS,
    "waits": work.WAIT_OPTIONS, "credentials": cloud.CREDENTIALS, "database": process.DATABASE,
    "fs_bank": process.FS_BANK, "schedule": work.SCHEDULE, "kubernetes": cloud.KUBERNETES,
    "metrics": telemetry.METRICS, "notifications": telemetry.NOTIFICATIONS,
    "audit": telemetry.AUDIT}


def own_options() -> dict[str, list[cfg.Opt]]:
    """Return Karbor's own options by group. The options of an account's auth type are not there."""
    account = loading.get_auth_common_conf_options()
    return {
        "DEFAULT": [*process.DEFAULT, *process.API],
        **_GROUPS,
        **{name: cloud.service_options(name) for name in SERVICES},
        # The account that vouches for users: any auth type of keystoneauth, with its own options.
        "service_user": [*account, *loading.get_session_conf_options()],
        # Whom users trust: a user with a password. By default that of [service_user].
        "trustee": account}


def options() -> ConfigOpts:
    """Return a fresh set of all options with their defaults, no file read."""
    conf = ConfigOpts()
    for group, opts in own_options().items():
        conf.register_opts(opts, group=None if group == "DEFAULT" else group)
    return conf


def load(files: Sequence[Path] | None = None) -> ConfigOpts:
    """Read these files, or the usual ones. Raises BadInput naming the file and what is wrong."""
    chosen = usual_files() if files is None else list(files)
    conf = options()
    try:
        conf(args=[], project="karbor", default_config_files=[str(path) for path in chosen],
             default_config_dirs=[])
    except cfg.ConfigFilesNotFoundError as error:
        raise BadInput("no such configuration file: " + ", ".join(error.config_files)) from error
    except (cfg.Error, ValueError) as error:
        line = " ".join(str(error).split())
        raise BadInput(f"the configuration cannot be read: {line}") from error
    _check(conf)
    for what in ("operations", *LIMITED):
        if conf.limits[f"project_{what}"] > conf.limits[f"provider_{what}"]:
            raise BadInput(f"[limits] project_{what} is more than provider_{what}",
                           remedy="a project cannot have more than all projects together")
    if conf.schedule.min_window_time > conf.schedule.max_window_time:
        raise BadInput("[schedule] min_window_time in the configuration is longer than "
                       "max_window_time")
    if not service_user_configured(conf):
        _check_absent("service_user", chosen)
    if trustee_section(conf) != "trustee":
        _check_absent("trustee", chosen)
    return conf


def reread(conf: ConfigOpts) -> None:
    """Read the same files again; options that may change while a service runs change. Raises
    BadInput; then all stays as it is."""
    load(
        [Path(default_config_file) for default_config_file in conf.default_config_files or ()]
    )  # a bad value would stay
    conf.mutate_config_files()


def _check_absent(section: str, files: Sequence[Path]) -> None:
    """Refuse files with the section but without its auth_type: it would be passed over, and
    operations would use other accounts, which whoever wrote it did not want."""
    for file in files:
        sections: dict[str, object] = {}
        cfg.ConfigParser(str(file), sections).parse()
        if sections.get(section):       # an empty one is in the sample
            raise BadInput(f"[{section}] in {file} says no auth_type, so it would not be used",
                           remedy="add auth_type = password, or another type of keystoneauth")


def _check(conf: ConfigOpts) -> None:
    """Look at every value now. oslo.config looks at a value when it is used: that may be hours
    later."""
    for group in (None, *_GROUPS, "service_user", "trustee", *SERVICES):
        for name in conf if group is None else conf[group]:
            try:
                _ = conf[name] if group is None else conf[group][name]
            except (cfg.ConfigFileValueError, ValueError) as error:
                # The words of the value's own error; those around it are of oslo.config's inside.
                line = " ".join(str(error).split()).rsplit(") is not valid: ", 1)[-1]
                raise BadInput(f"[{group or 'DEFAULT'}] {name} in the configuration is not valid: "
                               f"{line}") from error
    if conf.kubernetes.endpoint and not conf.kubernetes.project_id:
        raise BadInput("[kubernetes] has an endpoint and no project_id: it would be nobody's",
                       remedy="add the id of the project to which the cluster belongs")


def service_user_configured(conf: ConfigOpts) -> bool:
    """Return whether an account that vouches for users was configured at all."""
    return bool(conf.service_user.auth_type or conf.service_user.auth_section)


def trustee_section(conf: ConfigOpts) -> str:
    """Return the section with the account that users trust."""
    own = conf.trustee.auth_type or conf.trustee.auth_section
    return "trustee" if own else "service_user"
