"""Why a request got no answer: what stood between Karbor and a service, and how to repair it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from keystoneauth1 import exceptions as ksa

_NO_CA_FILE = "Could not find a suitable TLS CA certificate bundle"
_LONGEST = 200      # characters of a library's own words


@dataclass(frozen=True)
class Fault:
    """`what` completes a sentence that begins with who was asked: `Keystone at URL …`. `transient`:
    it may pass by itself."""

    what: str
    remedy: str
    transient: bool = False


def fault(error: BaseException) -> Fault | None:
    """Return what kept a request from being answered where it was no matter of the service: its
    certificate, a proxy, a CA file. keystoneauth wraps the cause, sometimes twice."""
    for caus in _causes(error):
        match caus:
            case requests.exceptions.SSLError() | ssl.SSLError():
                return _untrusted(caus)
            case requests.exceptions.ProxyError():
                return Fault(f"cannot be reached: the proxy {_proxy(caus)}gives no way to it: "
                             f"{_words(next(_causes(caus)))}",
                             "check https_proxy, http_proxy and no_proxy in the environment",
                             transient=True)
            case OSError() if _NO_CA_FILE in str(caus):
                return Fault(f"was not asked: {_words(caus)}",
                             "name a CA file that there is (cacert, cafile, REQUESTS_CA_BUNDLE)")
            case ksa.SSLError():
                return _untrusted(caus)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes, the innermost first: it says most."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or at.__context__
    yield from reversed(chain)


def _untrusted(error: BaseException) -> Fault:
    words = _words(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        words = error.verify_message.rstrip(".")
    if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in words:
        return Fault(f"has a certificate that is not trusted: {words}",
                     "name the CA that signed it (cacert in clouds.yaml, cafile in karbor.conf), "
                     "and use the name that is in the certificate")
    return Fault(f"does not speak TLS as it should: {words}",
                 "see whether the address begins with the right one of http and https")


def _proxy(error: requests.exceptions.ProxyError) -> str:
    """Return the address of the proxy and a blank, without a password; empty where the request does
    not tell."""
    pool = getattr(error.args[0] if error.args else None, "pool", None)
    address = str(getattr(pool, "proxy", None) or "")
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port} " if parts.hostname else ""


def _words(error: BaseException) -> str:
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words if len(words) <= _LONGEST else words[:_LONGEST - 1] + "…"
