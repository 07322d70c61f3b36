"""Which project a cloud's login is for, remembered, so that lists need no login.

Not a secret, and only a shortcut: what is remembered counts as long as nothing in clouds.yaml, its
companions or the OS_* variables has changed; else one logs in and remembers anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

_NAMES = ("clouds.yaml", "clouds.yml", "clouds.json", "secure.yaml", "secure.yml", "secure.json",
          "clouds-public.yaml", "clouds-public.yml", "clouds-public.json")
_SECRET = ("PASSWORD", "SECRET", "TOKEN", "PASSCODE")
_KEPT = 50      # logins; the least recently made are forgotten


class LoginProjectCache:
    """A small file in the state directory. Losing it costs a login."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def project_of(self, cloud: str | None) -> str | None:
        """The id of the project, if nothing has changed since it was remembered."""
        return self._read().get(_digest(cloud))

    def remember(self, cloud: str | None, project_id: str) -> None:
        known = self._read()
        digest = _digest(cloud)
        if known.get(digest) == project_id:
            return
        known.pop(digest, None)
        latest = dict([*known.items(), (digest, project_id)][-_KEPT:])
        with suppress(OSError):     # a full disk is somebody else's to report
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            with os.fdopen(handle, "w") as file:
                json.dump(latest, file)
            Path(name).replace(self._path)

    def _read(self) -> dict[str, str]:
        try:
            projects = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in projects.items()} \
            if isinstance(projects, dict) else {}


def _digest(cloud: str | None) -> str:
    """Of everything that decides which project a login is for. No secret goes into it, so that
    none can be guessed from it: files count by their identity and age, not by their contents."""
    facts: list[object] = [cloud]
    facts += [f"{name}={value}" for name, value in sorted(os.environ.items())
             if name.startswith("OS_") and not any(word in name for word in _SECRET)]
    for path in _files():
        with suppress(OSError):
            seen = path.stat()
            facts.append([str(path), seen.st_ino, seen.st_size, seen.st_mtime_ns])
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()


def _files() -> list[Path]:
    """Where openstacksdk looks (its documentation: "Configuration Files")."""
    named = [Path(os.environ[name]) for name in
             ("OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_CLIENT_VENDOR_FILE")
             if os.environ.get(name)]
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [Path.cwd(), home / "openstack", Path("/etc/xdg/openstack"), Path("/etc/openstack")]
    return [*named, *(endpoint_settings / name for endpoint_settings in places for name in _NAMES)]
