"""Options of a process: what it is called, where it keeps things, the REST API."""

from __future__ import annotations

from oslo_config import cfg

DEFAULT = [
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
    cfg.FloatOpt("vault_collection_interval", mutable=True, default=6 * 3600.0, min=0.0,
                 help="Seconds between two garbage collections of a vault: what checkpoints have "
                      "needed that were deleted leaves the bank two or three collections and a day "
                      "later. 0: workers collect none, and `karbor vault gc` has to."),
]

API = [
    cfg.HostAddressOpt("osapi_karbor_listen", default="0.0.0.0",  # noqa: S104 - as in Karbor 1.x
                       help="Address on which the API listens, where Karbor serves it itself."),
    cfg.PortOpt("osapi_karbor_listen_port", default=8799, help="Its port."),
    cfg.IntOpt("osapi_karbor_threads", default=16, min=1,
               help="Requests that Karbor answers at once, where it serves the API itself."),
    cfg.IntOpt("osapi_karbor_connections", default=250, min=2,
               help="Connections to the API that are open at once, where Karbor serves it itself. "
                    "When all are taken, the one that has been silent for longest makes room for "
                    "a new one."),
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
    cfg.IntOpt("osapi_max_bodies_size", default=64 * 1024 * 1024, min=1024,
               help="Bytes of the bodies of all requests together that have arrived or are being "
                    "answered, where Karbor serves the API itself: only afterwards does Keystone "
                    "say whether a token is good. The body of which least came in the last seconds "
                    "makes room; when all have arrived, the answer to another one is 503. "
                    "The directory of temporary files must have room for them. At least "
                    "osapi_max_request_body_size counts."),
    cfg.IntOpt("quota_plans", default=50, min=-1,
               help="Plans that a project may have; -1: any number. A limit of the quota class "
                    "`default`, and a project's own, count before this."),
    cfg.IntOpt("quota_checkpoints", default=-1, min=-1,
               help="Checkpoints that a project may have; in the same way."),
]

HEALTHCHECK = [
    cfg.StrOpt("disable_by_file_path",
               help="While this file exists, GET /healthcheck says 503: a load balancer then sends "
                    "no more requests here, and those under way are still answered."),
]

DATABASE = [
    cfg.StrOpt("connection", secret=True,
               help="Where operations are kept: sqlite:///PATH, or "
                    "postgresql://USER:PASSWORD@HOST/NAME, which any number of workers on any "
                    "number of machines may share. Default: karbor.sqlite in state_path."),
]

FS_BANK = [
    cfg.StrOpt("path",
               help="Directory of the file-system bank. Default: bank in state_path. Should not "
                    "share its disks with what it protects."),
]
