"""The internet as uv sees it: a proxy on loopback, and behind it pypi.org and PyTorch's indexes.

Which of them uv asks for PyTorch is for uv to decide, by addresses that no setting changes. So the
proxy speaks for all hosts, with certificates of an authority of its own that uv is told to trust.
The wheels hold next to nothing; their names and what they need are what matters.
"""

from __future__ import annotations

import hashlib
import os
import socketserver
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay_kernel.link.wheel import write_wheel

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

PYPI = "pypi.org"
PYTORCH = "download.pytorch.org"
_HOSTS = (PYPI, PYTORCH)


class Internet:
    """A context manager; while it lasts, the proxy answers.

    Args:
        folder: for wheels and certificates.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.authority = folder / "authority.pem"
        certificate = folder / "hosts.pem"
        _certify(self.authority, certificate)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        #: Host and path of an index -> names of the wheels there.
        self._indexes: dict[str, list[str]] = {}
        #: What was asked for: host and path.
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.context = context
        self._server.answer = self._answer
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def env(self) -> dict[str, str]:
        """What a uv has in its environment for which this is the internet."""
        proxy = f"http://127.0.0.1:{self._server.server_address[1]}"
        cache = str(self._folder / "cache")
        found = {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": str(self.authority), "UV_CACHE_DIR": cache}
        # What else those who run the tests may have set.
        return {**found, "SSL_CERT_DIR": str(self._folder), "UV_NO_CONFIG": "1"}

    def publish(self, index: str, name: str, version: str, *needs: str, extra: str = "") -> None:
        """Put a wheel into an index.

        Args:
            index: ``simple`` for PyPI, else one of PyTorch's: ``cpu``, ``cu128``.
            name: of the package.
            version: with its local label.
            needs: requirements.
            extra: of which the last of them is.
        """
        stem = f"{name.replace('-', '_')}-{version}"
        info = f"{stem}.dist-info"
        lines = [f"Requires-Dist: {each}" for each in needs]
        if extra:
            lines[-1] += f' ; extra == "{extra}"'
            lines.append(f"Provides-Extra: {extra}")
        about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""]
        wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        module = f"{name.replace('-', '_')}_fake.py"
        files: dict[str, bytes | Path] = {
            module: f"version = {version!r}\n".encode(),
            f"{info}/METADATA": "\n".join(about).encode(),
            f"{info}/WHEEL": wheel.encode(),
        }
        path = write_wheel(self._folder, f"{stem}-py3-none-any.whl", info, files)
        where = f"{PYPI}/simple" if index == "simple" else f"{PYTORCH}/whl/{index}"
        self._indexes.setdefault(f"{where}/{name}/", []).append(path.name)

    def indexes_asked(self, name: str) -> set[str]:
        """In which indexes a package was looked for."""
        pages = [each for each in self.asked if each.endswith(f"/{name}/")]
        return {each.removesuffix(f"/{name}/").rpartition("/")[2] for each in pages}

    def _answer(self, host: str, path: str) -> bytes | None:
        self.asked.append(f"{host}{path}")
        if path.startswith("/files/"):
            return (self._folder / unquote(path.removeprefix("/files/"))).read_bytes()
        wheels = self._indexes.get(f"{host}{path}")
        if wheels is None:
            return None
        return "".join(self._link(each) for each in wheels).encode()

    def _link(self, name: str) -> str:
        digest = hashlib.sha256((self._folder / name).read_bytes()).hexdigest()
        return f'<a href="/files/{quote(name)}#sha256={digest}">{name}</a>\n'


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    context: ssl.SSLContext
    answer: Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_CONNECT(self) -> None:
        self.host = self.path.partition(":")[0]
        if self.host not in _HOSTS:
            self.send_error(502)
            return
        self.send_response_only(200)
        self.end_headers()
        self.wfile.flush()
        try:
            self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        except OSError:
            self.close_connection = True
            return
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def do_GET(self) -> None:
        found = self.server.answer(self.host, self.path)
        self.send_response_only(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.send_header("Content-Type", _kind(self.path))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def finish(self) -> None:
        for file in (self.rfile, self.wfile, self.connection):
            try:
                file.close()
            except OSError:
                continue


def _kind(path: str) -> str:
    return "text/html" if path.endswith("/") else "application/octet-stream"


def _certify(authority: Path, certificate: Path) -> None:
    """Write an authority, and a certificate of it with its key."""
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "of the tests")])
    made = _builder(name, own).add_extension(x509.BasicConstraints(True, None), critical=True)
    pem = serialization.Encoding.PEM
    authority.write_bytes(made.sign(own, hashes.SHA256()).public_bytes(pem))
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(each) for each in _HOSTS])
    signed = _builder(name, key).add_extension(names, critical=False).sign(own, hashes.SHA256())
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificate.write_bytes(signed.public_bytes(pem) + key.private_bytes(pem, *plain))
    os.chmod(certificate, 0o600)


def _builder(issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
