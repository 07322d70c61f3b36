"""What the cloud is made of: Debian packages, and a Python environment that clones share."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence

from dev.devcloud.settings import DevcloudError

_HERE = pathlib.Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "requirements.txt"
_CONSTRAINTS = _HERE / "constraints.txt"
_POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def cache() -> pathlib.Path:
    """What clones share: the Python environment and the databases' templates."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "karbor-devcloud"


def venv_path() -> pathlib.Path:
    """Named after its content: other versions are another environment."""
    override = os.environ.get("DEVCLOUD_VENV")
    if override:
        return pathlib.Path(override).resolve()
    digest = hashlib.sha256(sys.version.encode())
    for file in (_REQUIREMENTS, _CONSTRAINTS):
        digest.update(file.read_bytes())
    return cache() / digest.hexdigest()[:16]


# -------------------------------------------------------------------- Debian packages
def ensure_packages() -> bool:
    """Install what the cloud needs and the machine lacks; return whether it lacked anything."""
    programs = {
        "mariadbd": "mariadb-server",
        "/usr/lib/rabbitmq/bin/rabbitmq-server": "rabbitmq-server",
        "memcached": "memcached",
        "qemu-img": "qemu-utils",
        "faketime": "faketime",  # a machine whose clock is wrong
        "cc": "gcc",  # uWSGI is compiled
        "nginx": "nginx",  # slows a service's data path down: dev/endurance/slow_road.py
    }
    path = "/usr/local/sbin:/usr/sbin:/sbin:" + os.environ.get("PATH", os.defpath)
    missing = [name for program, name in programs.items() if not shutil.which(program, path=path)]
    if not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append("python3-dev")
    if not pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        missing.append("libnginx-mod-stream")
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    if "gcc" in missing or "python3-dev" in missing:
        missing.append("libc6-dev")
    return _install_packages(missing)


def ensure_postgresql() -> bool:
    """Install the PostgreSQL whose servers the tests start; return whether it was missing."""
    programs = pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return _install_packages([] if any(programs) else ["postgresql"])


def _install_packages(missing: Sequence[str]) -> bool:
    """Install Debian packages, without starting their daemons; return whether there were any."""
    if not missing:
        return False
    if os.geteuid() != 0:
        raise DevcloudError(f"please install {' '.join(missing)}, or run this as root")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=600"]
    _run([*apt, "update"], environment)
    with _no_daemons():
        _run([*apt, "-y", "--no-install-recommends", "install", *missing], environment)
    return True


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """Debian asks this script before a package starts its daemon, which would take our ports."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink(missing_ok=True)


# -------------------------------------------------------------------- Python environment
def ensure_venv() -> bool:
    """Make the environment unless it is complete; True when it was made."""
    venv = venv_path()
    marker = venv / "devcloud-complete"
    if marker.exists():
        return False
    venv.parent.mkdir(parents=True, exist_ok=True)
    with (venv.parent / f"{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another clone may be making the same one
        if marker.exists():
            return False
        if venv.exists() and not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
            raise DevcloudError(f"{venv} is not a Python environment: remove it")
        # an interrupted build has no marker: begin anew
        _run([sys.executable, "-m", "venv", "--clear", str(venv)])
        _install(venv)
        marker.touch()
    return True


def _install(venv: pathlib.Path) -> None:
    """With uv, several times quicker than pip; with pip where uv finds no way to the packages."""
    pip = [str(venv / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet"]
    what = ["-r", str(_REQUIREMENTS), "-c", str(_CONSTRAINTS)]
    _run([*pip, "-c", str(_CONSTRAINTS), "uv"])
    uv = [str(venv / "bin" / "uv"), "pip", "install", "--quiet", "--compile-bytecode"]
    python = ["--python", str(venv / "bin" / "python")]
    try:
        _run([*uv, *python, *what])
    except DevcloudError as error:
        print(f"uv: {error}; going on with pip", file=sys.stderr, flush=True)
        _run([*pip, *what])


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.decode(errors="replace").splitlines()[-30:])
        raise DevcloudError(f"{' '.join(command[:4])} ... ended with {done.returncode}\n{tail}")
