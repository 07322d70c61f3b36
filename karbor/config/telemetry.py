"""Options of metrics, of notifications, and of the audit of requests."""

from __future__ import annotations

from oslo_config import cfg

METRICS = [
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

NOTIFICATIONS = [
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

AUDIT = [
    cfg.BoolOpt("enabled", default=False,
                help="Whether each request of the API is told as a CADF event, by way of "
                     "keystonemiddleware's audit filter (see [audit_middleware_notifications])."),
    cfg.StrOpt("map_file", default="/etc/karbor/api_audit_map.conf",
               help="What the API's paths are called in these events."),
    cfg.ListOpt("ignore_methods", default=[],
                help="Requests that are not told, such as GET, HEAD."),
]
