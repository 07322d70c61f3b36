"""Every option of Karbor, grouped, each with the reason why one would change it.

Nothing here is global: `load` returns a ConfigOpts that is handed to whoever needs it. Without
any file every option has a default that works for a single user with a clouds.yaml entry.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_config.cfg import ConfigOpts

from karbor.domain.credential_chain import Strategy
from karbor.domain.errors import BadInput

__all__ = ["SERVICES", "ConfigOpts", "bank_path", "database_url", "host", "key_file", "load",
           "options", "own_options", "provider_directory", "service_user_configured", "state_path",
           "trustee_section", "usual_files"]

SERVICES = ("cinder", "nova", "glance", "neutron", "swift", "manila", "trove", "barbican")
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
    cfg.StrOpt("host",
               help="The name under which this machine's services are listed. Default: its host "
                    "name. Workers that are to be disabled one by one need a name each."),
    cfg.FloatOpt("report_interval", mutable=True, default=10.0, min=0.05,
                 help="Seconds between the heartbeats of a service."),
    cfg.FloatOpt("service_down_time", mutable=True, default=60.0, min=0.1,
                 help="Seconds since its last heartbeat after which a service is told to be down. "
                      "Only told: who takes over its work goes by locks, not by clocks."),
    cfg.FloatOpt("pickup_interval", mutable=True, default=0.5, min=0.05,
                 help="Seconds between a worker's looks for operations that nobody drives: those "
                      "just accepted, and those of a worker that has died."),
    cfg.FloatOpt("sweep_interval", mutable=True, default=5.0, min=0.05,
                 help="Seconds between a worker's looks for providers and for records to be "
                      "settled; also the first pause before an operation that could not go on is "
                      "tried again."),
]

_API = [
    cfg.HostAddressOpt("osapi_karbor_listen", default="0.0.0.0",  # noqa: S104 - as in Karbor 1.x
                       help="Address on which the API listens, where Karbor serves it itself."),
    cfg.PortOpt("osapi_karbor_listen_port", default=8799, help="Its port."),
    cfg.IntOpt("osapi_karbor_threads", default=16, min=1,
               help="Requests that Karbor answers at once, where it serves the API itself."),
    cfg.IntOpt("osapi_karbor_connections", default=250, min=2,
               help="Connections to the API that are open at once, where Karbor serves it itself. "
                    "When all are taken, the one that has been silent for longest makes room for "
                    "a new one. So many bodies of osapi_max_request_body_size must have a place "
                    "in the directory of temporary files."),
    cfg.FloatOpt("osapi_karbor_receive_time", default=60.0, min=0.1,
                 help="Seconds in which a request must have arrived, and for which a connection "
                      "may be idle, where Karbor serves the API itself."),
    cfg.IntOpt("osapi_max_limit", default=1000, min=1, max=100_000,
               help="The most items that one answer to a list has. Whoever asks for more gets the "
                    "address of the next page."),
    cfg.IntOpt("osapi_max_page_bytes", default=4 * 1024 * 1024, min=1024,
               help="Bytes of the database that one answer to a list is made of, at most; it takes "
                    "some ten times that in memory. Whoever asks for more gets the address of the "
                    "next page. An answer has always one item, however large."),
    cfg.IntOpt("osapi_max_plan_resources", default=10_000, min=1,
               help="Resources that a plan may name. Plans that have more already stay as they are "
                    "and can be used."),
    cfg.URIOpt("osapi_karbor_base_URL", schemes=["http", "https"],
               help="What the addresses in answers begin with, in front of /v1. Default: what the "
                    "request was sent to. Needed behind a proxy that rewrites paths; for one that "
                    "sends X-Forwarded-… there is [oslo_middleware] enable_proxy_headers_parsing."),
    cfg.IntOpt("osapi_max_request_body_size", default=4 * 1024 * 1024, min=1024,
               help="Bytes that a request to the API may have; one without a token may have no "
                    "body at all, where Karbor serves the API itself. A plan of ten thousand "
                    "resources has about two million."),
    cfg.IntOpt("quota_plans", default=50, min=-1,
               help="Plans that a project may have; -1: any number. A limit of the quota class "
                    "`default`, and a project's own, count before this."),
    cfg.IntOpt("quota_checkpoints", default=-1, min=-1,
               help="Checkpoints that a project may have; in the same way."),
]

_HEALTHCHECK = [
    cfg.StrOpt("disable_by_file_path",
               help="While this file exists, GET /healthcheck says 503: a load balancer then sends "
                    "no more requests here, and those under way are still answered."),
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

LIMITED = ("cinder_backups", "glance_transfers", "server_images")
"""Kinds of work that plugins declare as their `limit` (there with hyphens)."""


def _limit(what: str, provider: int, project: int, words: str, why: str) -> list[cfg.Opt]:
    return [
        cfg.IntOpt(f"provider_{what}", mutable=True, default=provider, min=1,
                   help=f"{words}, in all operations of one provider together: {why}. Others wait "
                        "for their turn, and say so."),
        cfg.IntOpt(f"project_{what}", mutable=True, default=project, min=1,
                   help="Of these, in all operations of one project. At most "
                        f"provider_{what}.")]


_LIMITS = [
    cfg.IntOpt("workers", default=8, min=1,
               help="Threads that run steps; the connection pool has room for them all."),
    cfg.IntOpt("carriers", default=2, min=1,
               help="Threads that move bytes. Each uses about one core at full speed."),
    *_limit("cinder_backups", 16, 4,
            "Cinder backups and restores under way at once",
            "a cinder-backup service works on few at a time and the rest would only wait there"),
    *_limit("glance_transfers", 4, 2,
            "Images read from or written to Glance at once", "each fills a connection"),
    *_limit("server_images", 8, 2,
            "Images being made of servers at once",
            "each reads a whole disk on a compute host"),
    cfg.IntOpt("provider_operations", mutable=True, default=10, min=1,
               help="Operations of one provider that all workers together drive at once; others "
                    "wait. Not for commands, which drive what they were told to."),
    cfg.IntOpt("project_operations", mutable=True, default=2, min=1,
               help="Of these, operations of one project: it does not keep the others waiting. "
                    "At most provider_operations."),
]

WAITS = ("at_rest", "snapshot", "volume", "backup", "server_image", "image_data", "server",
         "removal", "unavailable")
"""Kinds of waiting, each with an option of its own in [waits]."""


def _wait(kind: str, minutes: float, words: str) -> cfg.Opt:
    return cfg.FloatOpt(kind, mutable=True, default=minutes, min=0.01,
                        help=f"Minutes that a stage waits at most {words}. What has not come by "
                             "then fails, with the state that it was last seen in.")


_WAITS = [
    _wait("at_rest", 60, "until nobody works on a volume or share that is to be protected: until "
          "it has been attached, extended, or backed up by somebody else"),
    _wait("snapshot", 60, "until Cinder or Manila has made a snapshot"),
    _wait("volume", 720, "until Cinder or Manila has made the new volume or share of a restore"),
    _wait("backup", 2880, "until Cinder has made, or restored, a backup; one that is being "
          "restored into another volume is waited for as well"),
    _wait("server_image", 720, "until Nova has made an image of a server's disk"),
    _wait("image_data", 60, "until an image has the bytes that somebody is uploading"),
    _wait("server", 60, "until Nova has built the server of a restore, attached a volume to it, or "
          "stopped it"),
    _wait("removal", 60, "until something that it removes is gone, before it is told as left over"),
    _wait("unavailable", 240, "for a service, or the bank, that does not answer"),
    cfg.IntOpt("made_anew", mutable=True, default=2, min=0,
               help="How often a stage that a service broke off (a backup that ended in an error "
                    "because cinder-backup or Swift was restarted) is made anew, once what is left "
                    "of the failed try has been removed. 0: such a failure ends the operation."),
    cfg.FloatOpt("made_anew_pause", mutable=True, default=15.0, min=0.0,
                 help="Seconds before that, for the service to come back."),
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
    cfg.StrOpt("strategy", default="auto", choices=[strategy.value for strategy in Strategy],
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
    cfg.ListOpt("reader_roles", default=["reader"],
                help="Roles that only read. Who has no other one in a project is told so before a "
                     "protect or restore, instead of by the cloud in the middle of it. Empty where "
                     "the policies of the services let every role write."),
    cfg.FloatOpt("slowest_rate", default=20.0, min=0.001,
                 help="MiB per second that an operation moves at least. How long it will take is "
                      "estimated from this until earlier operations of the project have shown it; "
                      "what no credential lasts long enough for is refused."),
    cfg.FloatOpt("refusal_wait", default=3600.0, min=0.0,
                 help="Seconds that an operation waits when Keystone refuses what it runs on for a "
                      "reason that may pass: the project or the user was disabled, a role was "
                      "taken away, Karbor's own account was refused. It goes on as soon as that "
                      "works again, and ends when it does not. 0: it ends at once."),
    cfg.StrOpt("service_role", default="service",
               help="The role that makes a token count as a service token in this cloud "
                    "(service_token_roles of its services)."),
]

_METRICS = [
    cfg.BoolOpt("enabled", default=False,
                help="Whether a worker answers Prometheus, at http://listen_address:listen_port. "
                     "Nobody has to log in there."),
    cfg.HostAddressOpt("listen_address", default="127.0.0.1",
                       help="Where it listens. Figures name projects and plans: another address "
                            "than the loopback only in a network that is the operator's own."),
    cfg.PortOpt("listen_port", default=9779,
                help="The port there. Workers on one machine need a file, and a port, each."),
    cfg.BoolOpt("api", default=False,
                help="Whether the API answers Prometheus, at /metrics, too: without a token, to "
                     "everybody who reaches it."),
    cfg.BoolOpt("database", default=True,
                help="Whether figures from the database are told; they are the same from every "
                     "process, so one that is asked is enough."),
    cfg.BoolOpt("plans", default=True,
                help="Whether each plan has series of its own. Without, only those of all plans "
                     "together are told: for clouds with tens of thousands of plans."),
    cfg.FloatOpt("fresh", default=10.0, min=0.0,
                 help="Seconds for which figures from the database are told again before it is "
                      "asked anew, however many scrape."),
]

_NOTIFICATIONS = [
    cfg.BoolOpt("enabled", default=False,
                help="Whether operations and checkpoints are told to a message bus, by way of "
                     "oslo.messaging (pip install karbor[notifications]). Where the bus is says "
                     "[oslo_messaging_notifications] transport_url, else [DEFAULT] transport_url."),
    cfg.IntOpt("waiting", default=1000, min=1,
               help="Notifications that wait at most while the bus is away; what comes beyond is "
                    "lost, and counted."),
    cfg.FloatOpt("shutdown_timeout", deprecated_name="last_words", default=5.0, min=0.0,
                 help="Seconds that a process takes at its end, at most, to send what waits."),
]

_AUDIT = [
    cfg.BoolOpt("enabled", default=False,
                help="Whether each request of the API is told as a CADF event, by way of "
                     "keystonemiddleware's audit filter (see [audit_middleware_notifications])."),
    cfg.StrOpt("map_file", default="/etc/karbor/api_audit_map.conf",
               help="What the API's paths are called in these events."),
    cfg.ListOpt("ignore_methods", default=[],
                help="Requests that are not told, such as GET, HEAD."),
]

_FS_BANK = [
    cfg.StrOpt("path",
               help="Directory of the file-system bank. Default: bank in state_path. Should not "
                    "share its disks with what it protects."),
]

_SCHEDULE = [
    cfg.IntOpt("min_interval", default=3600, min=1,
               help="Seconds that lie at least between two due times of a trigger: what is more "
                    "frequent is refused."),
    cfg.IntOpt("min_window_time", default=900, min=1,
               help="Seconds for which a scheduled operation may be begun late, at least, and "
                    "where its trigger says nothing. What was not begun by then is missed."),
    cfg.IntOpt("max_window_time", default=1800, min=1,
               help="The same, at most."),
    cfg.IntOpt("poll_interval", default=15, min=1,
               help="Seconds until an engine looks again for what is due, at the latest: a new or "
                    "changed trigger, and the end of an operation, are noticed that late."),
    cfg.IntOpt("rights_days", default=365, min=1,
               help="Days for which the trust of a scheduled operation is asked for. Its user "
                    "renews it by changing or taking over the scheduled operation."),
    cfg.IntOpt("rights_warning_days", default=30, min=0,
               help="Days before the end of its rights from which a scheduled operation says so."),
    cfg.IntOpt("history_days", default=90, min=1,
               help="Days for which it can be seen what came of each due time."),
]

_KUBERNETES = [
    cfg.StrOpt("endpoint",
               help="Address of the API server of a Kubernetes cluster whose pods a project has, "
                    "like https://192.0.2.9:6443. It is in no catalog: without this there are no "
                    "pods."),
    cfg.StrOpt("project_id",
               help="The project to which the cluster belongs, on whose volumes its pods live. "
                    "Needed with endpoint: nobody else is shown its pods."),
    cfg.StrOpt("namespace", default="default",
               help="The namespace whose pods these are."),
    cfg.StrOpt("token_file",
               help="File with the bearer token of a service account that may list pods in the "
                    "namespace, and persistent volumes. Read anew for every request, since such "
                    "tokens are replaced. Without it nobody is logged in."),
    cfg.StrOpt("ca_file",
               help="File with the certificates that the API server is trusted by. Default: those "
                    "of the system."),
]


_GROUPS = {"healthcheck": _HEALTHCHECK, "http": _HTTP, "limits": _LIMITS,
           "waits": _WAITS,
           "credentials": _CREDENTIALS, "database": _DATABASE, "fs_bank": _FS_BANK,
           "schedule": _SCHEDULE, "kubernetes": _KUBERNETES, "metrics": _METRICS,
           "notifications": _NOTIFICATIONS, "audit": _AUDIT}


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


def own_options() -> dict[str, list[cfg.Opt]]:
    """Return Karbor's own options by group. The options of an account's auth type are not there."""
    account = loading.get_auth_common_conf_options()
    return {
        "DEFAULT": [*_DEFAULT, *_API],
        **_GROUPS,
        **{name: _service_options(name) for name in SERVICES},
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


def usual_files() -> list[Path]:
    """Return the files read when none is named: that of KARBOR_CONFIG alone, else the system's
    and then the user's, of which the later one wins."""
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


def state_path(conf: ConfigOpts) -> Path:
    """Return the directory in which Karbor keeps what it must not lose. The directory need not
    exist yet."""
    if conf.state_path:
        return Path(conf.state_path).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "karbor"


def database_url(conf: ConfigOpts) -> str:
    """Return the database of operations. Holds a password: for whoever connects, not for people."""
    return conf.database.connection or f"sqlite:///{state_path(conf) / 'karbor.sqlite'}"


def host(conf: ConfigOpts) -> str:
    """Return what this machine's services are called."""
    return conf.host or socket.gethostname()


def key_file(conf: ConfigOpts) -> Path:
    """Return the path of the file with the sealing keys."""
    named = conf.credentials.key_file
    return Path(named).expanduser() if named else state_path(conf) / "seal.key"


def bank_path(conf: ConfigOpts) -> Path:
    """Return the directory of the file-system bank."""
    named = conf.fs_bank.path
    return Path(named).expanduser() if named else state_path(conf) / "bank"


def provider_directory(conf: ConfigOpts) -> tuple[Path, bool]:
    """Return the directory with the files of providers, and whether somebody said so (else it need
    not exist)."""
    beside = [Path(file).absolute().parent for file in conf.default_config_files or ()]
    if not beside:
        beside = [place.parent for place in _usual_places()]
    named = conf.provider_config_dir
    if named:
        return beside[-1] / Path(named).expanduser(), True
    paths = [path / "providers.d" for path in beside]
    return next((path for path in reversed(paths) if path.is_dir()), paths[-1]), False


def service_user_configured(conf: ConfigOpts) -> bool:
    """Return whether an account that vouches for users was configured at all."""
    return bool(conf.service_user.auth_type or conf.service_user.auth_section)


def trustee_section(conf: ConfigOpts) -> str:
    """Return the section with the account that users trust."""
    own = conf.trustee.auth_type or conf.trustee.auth_section
    return "trustee" if own else "service_user"
