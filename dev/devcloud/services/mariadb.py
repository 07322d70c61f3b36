"""MariaDB: every service's database."""

from __future__ import annotations

from dev.devcloud import ports
from dev.devcloud.service import Service
from dev.devcloud.settings import PASSWORD


class MariaDB(Service):
    """The server, tuned for a cloud that may be lost: nothing is flushed to the disk."""

    name = "mariadb"

    def start(self) -> None:
        data = self.state.data / "mariadb"
        environment = self.cloud.environment()
        if not self.state.done("mariadb"):
            self.processes.run(
                "mariadb-setup",
                [
                    *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"),
                    *("--auth-root-authentication-method=normal", "--skip-test-db"),
                    "--skip-name-resolve",
                ],
                environment,
            )
            self.state.mark("mariadb")
        # an account of our own: the installer's password-less root@127.0.0.1 wins over root@127.%
        account = self.state.etc / "mariadb-account.sql"
        account.write_text(
            f"CREATE USER IF NOT EXISTS 'devcloud'@'127.%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO 'devcloud'@'127.%' WITH GRANT OPTION;\n"
        )
        self.cloud.claim("mariadb", ports.MARIADB)
        self.processes.ensure(
            "mariadb",
            [
                *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"),
                # relative to the data directory: the name of a socket may have 107 characters
                *("--socket=server.sock", f"--pid-file={self.state.run / 'mariadb.pid'}"),
                *(f"--bind-address={self.host}", f"--port={ports.MARIADB}", "--skip-name-resolve"),
                *(f"--init-file={account}", "--character-set-server=utf8mb3"),
                *("--max-connections=2000", "--performance-schema=OFF", "--skip-log-bin"),
                *("--innodb-buffer-pool-size=256M", "--innodb-flush-log-at-trx-commit=0"),
                *("--innodb-flush-method=O_DIRECT_NO_FSYNC", "--innodb-doublewrite=0"),
            ],
            environment,
            files=[account],
        )
        self.processes.wait(["mariadb"], lambda: bool(self.cloud.sql("SELECT 1")), "mariadb")
