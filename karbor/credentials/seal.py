"""Seal: what must be kept of a user's token, unreadable to whoever has only the database."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from karbor.domain.errors import CredentialError

KEPT = 4
"""Keys that a rotation leaves in the file: the new one seals, the older ones still open."""


class Seal:
    """Seals and opens short texts with the keys of one file (a key a line, the newest first).

    The file is made at the first use, with mode 0600; one that others may read is refused. It is
    read at every use, so that a rotation by another process counts at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def seal(self, text: str) -> str:
        """Encrypt the text with the newest key. Raises CredentialError when the key file is
        unfit."""
        if not self._path.exists():
            _write(self._path, [Fernet.generate_key()], replace=False)
        return self._fernet().encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Decrypt what `seal` returned. Raises CredentialError when the keys are missing, unfit, or
        not the ones it was sealed with."""
        try:
            return self._fernet().decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise CredentialError(
                f"a sealed token cannot be opened with the keys in {self._path}",
                remedy="was the key file replaced, or rotated more than "
                       f"{KEPT - 1} times since? Begin the operation anew") from None

    def again(self, sealed: str) -> str:
        """Return the same, sealed with the newest key. Raises CredentialError as `open`."""
        return self.seal(self.open(sealed))

    def rotate(self) -> None:
        """Put a new key before the others; what was sealed with the last few can still be opened.
        """
        keys = _read(self._path) if self._path.exists() else []
        _write(self._path, [Fernet.generate_key(), *keys][:KEPT], replace=True)

    def _fernet(self) -> MultiFernet:
        try:
            return MultiFernet([Fernet(key) for key in _read(self._path)])
        except ValueError:
            # Without the cause: its text may quote what it could not read.
            raise CredentialError(f"{self._path} holds something else than sealing keys",
                                  remedy="restore it, or move it away and begin anew") from None


def _read(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CredentialError(
                    f"the key file {path} is open to others (mode {stat.S_IMODE(about.st_mode):o})",
                    remedy=f"chmod 600 {path}; if others could read it, rotate the key")
            return file.read().split()
    except FileNotFoundError:
        raise CredentialError(f"the key file {path} is missing",
                              remedy="restore it, or begin the operation anew") from None
    except OSError as error:
        raise CredentialError(f"the key file {path} cannot be read: {error.strerror}") from error


def _write(path: Path, keys: list[bytes], *, replace: bool) -> None:
    """Write the file of keys, complete or not at all; with `replace` false the first of several
    writers wins."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)   # mode 0600
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"\n".join(keys) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        except FileExistsError:
            return      # another process was quicker: its key it is
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise CredentialError(f"the key file {path} cannot be written: {error.strerror}",
                              remedy="see [credentials] key_file and state_path") from error
