"""RabbitMQ: the message bus of Cinder, Nova, Neutron and Manila."""

from __future__ import annotations

from dev.devcloud import ports
from dev.devcloud.service import Service
from dev.devcloud.settings import PASSWORD


class Rabbit(Service):
    """The broker and its epmd, run directly as root with directories of their own."""

    name = "rabbit"

    def start(self) -> None:
        data = self.state.data / "rabbit"
        for directory in (data, self.etc):
            directory.mkdir(parents=True, exist_ok=True)
        conf = self.etc / "rabbitmq.conf"
        conf.write_text(
            f"listeners.tcp.1 = {self.host}:{ports.RABBIT}\n"
            "default_user = devcloud\n"
            f"default_pass = {PASSWORD}\n"
            "loopback_users = none\n"
            "vm_memory_high_watermark.absolute = 1GB\n"
            "disk_free_limit.absolute = 100MB\n"
            "log.file = false\n"
            "log.console = true\n"
            "log.console.level = warning\n"
        )
        plugins = self.etc / "plugins"
        plugins.write_text("[].\n")
        epmd = ports.rabbit_epmd(self.host)
        environment = self.cloud.environment(
            HOME=data,
            ERL_EPMD_PORT=epmd,
            ERL_EPMD_ADDRESS=self.host,
            RABBITMQ_NODENAME="devcloud@localhost",
            RABBITMQ_CONFIG_FILE=conf,
            RABBITMQ_DIST_PORT=ports.rabbit_distribution(self.host),
            RABBITMQ_MNESIA_BASE=data,
            RABBITMQ_LOG_BASE=self.state.log,
            RABBITMQ_LOGS="-",
            RABBITMQ_ENABLED_PLUGINS_FILE=plugins,
            RABBITMQ_PID_FILE=self.state.run / "rabbit.pid",
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=(
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
        )
        # first, and in the foreground: otherwise Erlang forks one that outlives the cloud
        command = ["epmd", "-port", epmd, "-address", self.host]
        self.cloud.claim("rabbit", ports.RABBIT)
        self.processes.ensure("epmd", command, environment)
        server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        self.processes.ensure("rabbit", [server], environment, files=[conf])
        self.processes.wait(
            ["epmd", "rabbit"], lambda: ports.is_open(self.host, ports.RABBIT), "rabbitmq"
        )
