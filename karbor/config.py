"""Every option of Karbor, grouped, each with the reason why one would change it.

Nothing here is global: `load` returns a ConfigOpts that is handed to whoever needs it. Without
any file every option has a default that works for a single user with a clouds.yaml entry.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_config.cfg import ConfigOpts

from karbor.domain.errors import BadInput
from karbor.domain.ladder import Strategy

__all__ = ["SERVICES", "ConfigOpts", "bank_path", "database_url", "key_file", "load", "options",
           "provider_directory", "service_user_configured", "state_path", "trustee_section",
           "usual_files"]

SERVICES = ("cinder", "nova", "glance", "neutron", "swift", "manila", "barbican")
"""The services a plugin may ask for, and the names of their groups."""

_DEFAULT = [
    cfg.StrOpt("state_path",
               help="Where Karbor keeps its database, its sealing key and, unless told otherwise, "
                    "its bank. Default: karbor below XDG_DATA_HOME (~/.local/share). A service "
                    "sets it to a directory of its own account."),
    cfg.StrOpt("provider_config_dir",
               help="Directory with a file NAME.conf for each provider; a relative one is beside "
                    "this file. Default: providers.d beside this file, if there is one; without "
                    "any provider there, one with a bank in state_path and every protection."),
    cfg.StrOpt("default_provider",
               help="Name or id of the provider that is used when none is named. Needed only "
                    "where several are enabled."),
    cfg.StrOpt("region_name",
               help="Region of the cloud that the service works in. Default: the only one of the "
                    "catalog. (A command has it from clouds.yaml.)"),
    cfg.StrOpt("interface", default="public", choices=["public", "internal", "admin"],
               help="Which addresses of the catalog the service uses, where the section of a "
                    "service says nothing else."),
]

_DATABASE = [
    cfg.StrOpt("connection", secret=True,
               help="Where operations are kept: sqlite:///PATH, or "
                    "postgresql://USER:PASSWORD@HOST/NAME, which any number of workers on any "
                    "number of machines may share. Default: karbor.sqlite in state_path."),
]

_HTTP = [
    cfg.FloatOpt("connect_timeout", default=10.0, min=0.1,
                 help="Seconds until a service that does not accept a connection counts as "
                      "unavailable."),
    cfg.FloatOpt("read_timeout", default=120.0, min=0.1,
                 help="Seconds of silence until an answer counts as lost. Some requests (an "
                      "image's last chunk, a detach) take a service a minute under load."),
    cfg.IntOpt("retries", default=4, min=0,
               help="How often a request that only reads is repeated when a service is "
                    "unavailable. Requests that create are never repeated."),
    cfg.FloatOpt("retry_longest", default=8.0, min=0.0,
                 help="The longest pause between two such repetitions, in seconds; also the most "
                      "that is granted to a service which asks for patience (Retry-After)."),
]

_LIMITS = [
    cfg.IntOpt("workers", default=8, min=1,
               help="Threads that run steps; the connection pool has room for them all."),
    cfg.IntOpt("carriers", default=2, min=1,
               help="Threads that move bytes. Each uses about one core at full speed."),
    cfg.IntOpt("cinder_backups", default=4, min=1,
               help="Cinder backups and restores under way at once: a cinder-backup service works "
                    "on few at a time and the rest would only wait there."),
    cfg.IntOpt("glance_transfers", default=2, min=1,
               help="Images read from or written to Glance at once: each fills a connection."),
    cfg.IntOpt("server_images", default=2, min=1,
               help="Images being made of servers at once: each reads a whole disk on a compute "
                    "host."),
]

_CREDENTIALS = [
    cfg.StrOpt("key_file",
               help="File with the keys that seal what an operation keeps of a user's token; "
                    "made at the first use, mode 0600. Default: seal.key in state_path. All "
                    "processes that share a database need the same one."),
    cfg.IntOpt("allow_expired_window", default=172800, min=0,
               help="Seconds for which Keystone lets services use expired tokens ([token] "
                    "allow_expired_window of Keystone, whose default is the same). Deadlines of "
                    "operations are computed from it; a larger value here does not extend it."),
    cfg.StrOpt("strategy", default="auto", choices=[one.value for one in Strategy],
               help="Which credentials carry an operation. auto: without [service_user] the "
                    "user's own login, else the user's token together with a service token while "
                    "Keystone's window lasts, and then a trust, or an application credential that "
                    "the user registered. token: the token only; what would outlast it is refused. "
                    "trust, application_credential: that from the beginning. own_login: the "
                    "command line's own login, whatever [service_user] says."),
    cfg.IntOpt("longest_operation", default=7 * 86400, min=60,
               help="Seconds that an operation may take at most; its trust expires then."),
    cfg.ListOpt("trust_roles", default=["member"],
                help="Roles that a trust, or an application credential made by Karbor, passes on: "
                     "those of them that the user has. A trust ends when the user loses any of "
                     "them, so as few as the operations need."),
    cfg.FloatOpt("slowest_rate", default=20.0, min=0.001,
                 help="MiB per second that an operation moves at least. How long it will take is "
                      "estimated from this until earlier operations of the project have shown it; "
                      "what no credential lasts long enough for is refused."),
    cfg.StrOpt("service_role", default="service",
               help="The role that makes a token count as a service token in this cloud "
                    "(service_token_roles of its services)."),
]

_FS_BANK = [
    cfg.StrOpt("path",
               help="Directory of the file-system bank. Default: bank in state_path. Should not "
                    "share its disks with what it protects."),
]


def _service_options(name: str) -> list[cfg.Opt]:
    return [
        cfg.StrOpt("endpoint_override",
                   help=f"Address of {name}, when the catalog's is not the one to use; "
                        "%(project_id)s is replaced."),
        cfg.StrOpt("interface",
                   help=f"Which address of {name} in the catalog: public, internal or admin. "
                        "Default: what clouds.yaml says, else public."),
        cfg.StrOpt("region_name",
                   help=f"Region of {name}. Default: what clouds.yaml says, else the only one."),
        cfg.StrOpt("service_type",
                   help=f"Type of {name} in the catalog, when it is registered under another "
                        "than the usual ones."),
    ]


def options() -> ConfigOpts:
    """A fresh set of all options with their defaults, no file read."""
    conf = ConfigOpts()
    conf.register_opts(_DEFAULT)
    for group, opts in (("http", _HTTP), ("limits", _LIMITS), ("credentials", _CREDENTIALS),
                        ("database", _DATABASE), ("fs_bank", _FS_BANK)):
        conf.register_opts(opts, group=group)
    for name in SERVICES:
        conf.register_opts(_service_options(name), group=name)
    # The account that vouches for users: any auth type of keystoneauth, with its own options.
    loading.register_auth_conf_options(conf, "service_user")
    loading.register_session_conf_options(conf, "service_user")
    # Whom users trust: a user with a password. By default that of [service_user].
    loading.register_auth_conf_options(conf, "trustee")
    return conf


def usual_files() -> list[Path]:
    """The files read when none is named: that of KARBOR_CONFIG alone, else the system's and then
    the user's, of which the later one wins."""
    named = os.environ.get("KARBOR_CONFIG")
    if named:
        return [Path(named)]
    return [place for place in _usual_places() if place.is_file()]


def _usual_places() -> list[Path]:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path("/etc/karbor/karbor.conf"), home / "karbor" / "karbor.conf"]


def load(files: Sequence[Path] | None = None) -> ConfigOpts:
    """Read these files, or the usual ones. Raises BadInput naming the file and what is wrong."""
    chosen = usual_files() if files is None else list(files)
    conf = options()
    try:
        conf(args=[], project="karbor", default_config_files=[str(one) for one in chosen],
             default_config_dirs=[])
    except cfg.ConfigFilesNotFoundError as error:
        raise BadInput("no such configuration file: " + ", ".join(error.config_files)) from error
    except (cfg.Error, ValueError) as error:
        line = " ".join(str(error).split())
        raise BadInput(f"the configuration cannot be read: {line}") from error
    _check(conf)
    if not service_user_configured(conf):
        _check_absent("service_user", chosen)
    if trustee_section(conf) != "trustee":
        _check_absent("trustee", chosen)
    return conf


def _check_absent(section: str, files: Sequence[Path]) -> None:
    """Without its auth_type the section would be passed over, and operations would use other
    accounts, which whoever wrote it did not want."""
    for file in files:
        sections: dict[str, object] = {}
        cfg.ConfigParser(str(file), sections).parse()
        if sections.get(section):       # an empty one is in the sample
            raise BadInput(f"[{section}] in {file} says no auth_type, so it would not be used",
                           remedy="add auth_type = password, or another type of keystoneauth")


def _check(conf: ConfigOpts) -> None:
    """oslo.config looks at a value when it is used: that may be hours later."""
    for group in (None, "http", "limits", "credentials", "database", "fs_bank", "service_user",
                  "trustee", *SERVICES):
        for name in conf if group is None else conf[group]:
            try:
                _ = conf[name] if group is None else conf[group][name]
            except (cfg.ConfigFileValueError, ValueError) as error:
                # The words of the value's own error; those around it are of oslo.config's inside.
                line = " ".join(str(error).split()).rsplit(") is not valid: ", 1)[-1]
                raise BadInput(f"[{group or 'DEFAULT'}] {name} in the configuration is not valid: "
                               f"{line}") from error


def state_path(conf: ConfigOpts) -> Path:
    """Where Karbor keeps what it must not lose. The directory need not exist yet."""
    if conf.state_path:
        return Path(conf.state_path).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "karbor"


def key_file(conf: ConfigOpts) -> Path:
    """Where the sealing keys are."""
    named = conf.credentials.key_file
    return Path(named).expanduser() if named else state_path(conf) / "seal.key"


def bank_path(conf: ConfigOpts) -> Path:
    """Where the file-system bank is."""
    named = conf.fs_bank.path
    return Path(named).expanduser() if named else state_path(conf) / "bank"


def provider_directory(conf: ConfigOpts) -> tuple[Path, bool]:
    """Where the files of providers are, and whether somebody said so (else it need not exist)."""
    beside = [Path(file).absolute().parent for file in conf.default_config_files or ()]
    if not beside:
        beside = [place.parent for place in _usual_places()]
    named = conf.provider_config_dir
    if named:
        return beside[-1] / Path(named).expanduser(), True
    found = [one / "providers.d" for one in beside]
    return next((one for one in reversed(found) if one.is_dir()), found[-1]), False


def service_user_configured(conf: ConfigOpts) -> bool:
    """Whether an account that vouches for users was configured at all."""
    return bool(conf.service_user.auth_type or conf.service_user.auth_section)


def trustee_section(conf: ConfigOpts) -> str:
    """The section with the account that users trust."""
    own = conf.trustee.auth_type or conf.trustee.auth_section
    return "trustee" if own else "service_user"


def database_url(conf: ConfigOpts) -> str:
    """The database of operations. Holds a password: for whoever connects, not for people."""
    return conf.database.connection or f"sqlite:///{state_path(conf) / 'karbor.sqlite'}"
