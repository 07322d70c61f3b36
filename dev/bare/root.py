"""A Debian 12 in a directory, and commands in it.

What it is given beside Debian's required packages: `make`, which runs the two commands, and
`python3`, which the README presumes. From this machine: `/dev` and a `/proc` of its own,
`/etc/hosts` and `/etc/resolv.conf`, how APT and pip reach their packages (sources, proxies,
certificates, local files that their configuration names), and the network.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Self

SUITE = "bookworm"
PACKAGES = "make,python3"
CLONE = "root/karbor"

_COPIED = ("etc/hosts", "etc/resolv.conf", "etc/pip.conf", "etc/xdg/pip", "root/.config/pip",
           "root/.pip", "etc/apt/sources.list", "etc/apt/sources.list.d", "etc/apt/auth.conf.d",
           "etc/apt/trusted.gpg.d", "etc/apt/keyrings", "etc/ssl/certs",
           "usr/local/share/ca-certificates")   # whence a package's installation makes certs anew
_PASSED_ON = ("PIP_", "UV_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY",
              "NO_PROXY")

# The first process of a process namespace: all that it started ends with it, and the mounts with
# their namespace, however this program ends.
_INSIDE = """\
mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" || exit 1
chroot "$0" sh -e -c "$1"
"""


class Root:
    """A context manager: the directory is removed at its end, unless it is to be kept."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="karbor-bare-", dir="/var/tmp"))

    def __enter__(self) -> Self:
        self.path.chmod(0o755)  # PostgreSQL and RabbitMQ run as other users
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if not self._keep:  # nothing is mounted here: the mounts were the namespace's
            _run("rm", "-rf", "--one-file-system", str(self.path))

    def install(self) -> None:
        """Install Debian from the mirror that this machine uses itself."""
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(self.path),
             _mirror())
        (self.path / "etc/apt/sources.list").unlink(missing_ok=True)
        for name in (*_COPIED, *_named_by_pip()):
            source, target = pathlib.Path("/", name), self.path / name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        ways = _output("apt-config", "dump", "Acquire")  # proxies and the like
        (self.path / "etc/apt/apt.conf.d/99acquire").write_text(ways)

    def clone(self, repository: pathlib.Path) -> None:
        """Clone the commit that the repository stands on; what is not committed does not come."""
        _run("git", "clone", "--quiet", str(repository), str(self.path / CLONE))

    def run(self, command: str) -> int:
        """Run a command in the clone; return its exit code. What it started ends with it."""
        script = f"cd /{CLONE}; {command}"
        started = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child",
             "sh", "-c", _INSIDE, str(self.path), script],
            stdin=subprocess.DEVNULL, env=_environment(os.environ))
        try:
            return started.wait()
        finally:
            started.kill()
            started.wait()


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return what a login has, and how pip reaches its packages."""
    passed_on = {name: value for name, value in own.items() if name.upper().startswith(_PASSED_ON)}
    return passed_on | {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                        "HOME": "/root", "LANG": "C.UTF-8"}


def _named_by_pip() -> list[str]:
    """Return the local files and directories that pip's configuration and environment name."""
    configured = _output(sys.executable, "-m", "pip", "config", "list")
    return [path.lstrip("/") for path in re.findall(r"(?<![\w:/])/[^\s'\",\\]+", configured)]


def _mirror() -> str:
    targets = _output("apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)",
                      "Created-By: Packages")
    for line in targets.splitlines():
        if line.startswith(f"{SUITE} main "):
            return line.split()[2]
    raise RuntimeError(f"APT's sources on this machine have no {SUITE} main")


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise RuntimeError(f"{' '.join(command[:2])} ended with {done.returncode}\n{tail}")
