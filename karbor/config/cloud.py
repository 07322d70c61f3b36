"""Options of the cloud: its services, its credentials, a cluster of Kubernetes."""

from __future__ import annotations

from oslo_config import cfg

from karbor.domain.credential_chain import Strategy

SERVICES = ("cinder", "nova", "glance", "neutron", "swift", "manila", "trove", "barbican")
"""The services a plugin may ask for, and the names of their groups."""

HTTP = [
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

CREDENTIALS = [
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

KUBERNETES = [
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


def service_options(name: str) -> list[cfg.Opt]:
    """Return the options of the section of one service."""
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
