"""What stands between Karbor and Keystone is told as what it is: through the command, over real
sockets."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from karbor.cli import exit_codes
from karbor.cli.program import karbor

LIBRARIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "HTTP_PROXY",
             "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that it has signed itself, for keystone.example.org, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keystone.example.org")])
    now = datetime.now(UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("keystone.example.org")]),
                           critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    file = tmp_path_factory.mktemp("tls") / "certificate.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    return file


class Silent(BaseHTTPRequestHandler):
    def log_message(self, *_what: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture
def tls(server: ThreadingHTTPServer, certificate: Path) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return int(server.server_address[1])


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth_url: str, **more: str) -> str:
    """What `karbor resources` says of this Keystone."""
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"there": {"auth": {
        "auth_url": auth_url, "username": "u", "password": "hunter2", "project_name": "p",
        "user_domain_name": "Default", "project_domain_name": "Default"}, **more}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("KARBOR_CONFIG", "/dev/null")
    result = CliRunner().invoke(karbor, ["--os-cloud", "there", "resources"])
    assert result.exit_code == exit_codes.CREDENTIALS, result.output
    [line] = result.stderr.splitlines()
    assert "hunter2" not in line
    return line


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBRARIES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("path", ["", "/v3"])
def test_an_untrusted_certificate(path: str, tls: int, tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"https://127.0.0.1:{tls}{path}"
    line = told(tmp_path, monkeypatch, url)
    assert line.startswith(f"karbor: Keystone at {url} has a certificate that is not trusted: "
                           "self-signed certificate (name the CA that signed it")


@pytest.mark.parametrize("path", ["", "/v3"])
def test_a_certificate_of_another_name(path: str, tls: int, certificate: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    line = told(tmp_path, monkeypatch, f"https://localhost:{tls}{path}", cacert=str(certificate))
    assert ("has a certificate that is not trusted: Hostname mismatch, certificate is not valid "
            "for 'localhost' (") in line


@pytest.mark.parametrize("path", ["", "/v3"])
def test_tls_with_somebody_who_speaks_none(path: str, server: ThreadingHTTPServer, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    line = told(tmp_path, monkeypatch, f"https://127.0.0.1:{server.server_address[1]}{path}")
    assert "does not speak TLS as it should" in line
    assert "the right one of http and https" in line


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("path", ["", "/v3"])
def test_a_dead_proxy(scheme: str, path: str, tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://somebody:hunter2@127.0.0.1:9")
    url = f"{scheme}://keystone.example.org:5000{path}"
    assert told(tmp_path, monkeypatch, url) == (
        f"karbor: Keystone at {url} cannot be reached: the proxy 127.0.0.1:9 gives no way to it: "
        "Connection refused (check https_proxy, http_proxy and no_proxy in the environment)")


@pytest.mark.parametrize("path", ["", "/v3"])
def test_a_ca_file_that_there_is_not(path: str, tls: int, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    line = told(tmp_path, monkeypatch, f"https://127.0.0.1:{tls}{path}",
                cacert=str(tmp_path / "nowhere.pem"))
    assert f"invalid path: {tmp_path / 'nowhere.pem'}" in line


@pytest.mark.parametrize("path", ["", "/v3"])
def test_nobody(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:9{path}"
    assert told(tmp_path, monkeypatch, url) == (
        f"karbor: nobody answers at {url} (check auth_url and the network)")
