"""Where things are, as the configuration says."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from oslo_config.cfg import ConfigOpts


def usual_files() -> list[Path]:
    """Return the files read when none is named: that of KARBOR_CONFIG alone, else the system's
    and then the user's, of which the later one wins."""
    named = os.environ.get("KARBOR_CONFIG")
    if named:
        return [Path(named)]
    return [place for place in usual_places() if place.is_file()]


def usual_places() -> list[Path]:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [Path("/etc/karbor/karbor.conf"), home / "karbor" / "karbor.conf"]


def state_path(conf: ConfigOpts) -> Path:
    """Return the directory in which Karbor keeps what it must not lose. The directory need not
    exist yet."""
    if conf.state_path:
        return Path(conf.state_path).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "karbor"


def database_url(conf: ConfigOpts) -> str:
    """Return the URL of the database of operations. Holds a password: for whoever connects, not for
    people."""
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


def vault_index(conf: ConfigOpts) -> Path:
    """Return the directory in which this machine caches what the projects' vaults have. It may be
    lost."""
    return state_path(conf) / "vault-index"


def provider_directory(conf: ConfigOpts) -> tuple[Path, bool]:
    """Return the directory with the files of providers, and whether somebody said so (else it need
    not exist)."""
    beside = [Path(file).absolute().parent for file in conf.default_config_files or ()]
    if not beside:
        beside = [place.parent for place in usual_places()]
    named = conf.provider_config_dir
    if named:
        return beside[-1] / Path(named).expanduser(), True
    paths = [path / "providers.d" for path in beside]
    return next((path for path in reversed(paths) if path.is_dir()), paths[-1]), False
