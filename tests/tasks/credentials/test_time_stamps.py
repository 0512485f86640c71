"""Time stamps of a real service: OpenSSL's, behind HTTP on loopback."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.credentials.manifest import Generation, sign_file
from tasks.credentials.reader import read_credentials
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from troupe.errors import SigningError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

CONFIGURATION = """
[tsa]
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
certs = {folder}/chain.pem
signer_digest = sha256
"""


class Service(ThreadingHTTPServer):
    """A time stamp service.

    Attributes:
        folder: folder of its configuration and certificate.
        asked: number of requests.
        broken: whether it answers with something else than a time stamp.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.asked, self.broken = folder, 0, False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def reply(self, query: bytes) -> bytes:
        self.asked += 1
        if self.broken:
            return b"no time stamp"
        request = self.folder / f"{self.asked}.tsq"
        request.write_bytes(query)
        command = ["openssl", "ts", "-reply", "-section", "tsa", "-config", str(self.folder / "tsa.conf")]
        return subprocess.run([*command, "-queryfile", str(request)], check=True, capture_output=True).stdout


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = self.server.reply(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def certify(
    subject: str, issuer: str, key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Return the certificate of an authority, or, by another key, that of a service."""
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, n)]) for n in (subject, issuer)]
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
    usage |= {"encipher_only": False, "decipher_only": False, "crl_sign": False}
    now, authority = datetime.now(UTC), key is by
    built = (
        x509.CertificateBuilder()
        .subject_name(names[0])
        .issuer_name(names[1])
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not authority, key_cert_sign=authority, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
    )
    if not authority:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return built.sign(by, hashes.SHA256())


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = certify("test authority of time stamps", "test authority of time stamps", root_key, root_key)
    own = certify("test time stamps", "test authority of time stamps", key, root_key)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "tsa.key").write_bytes(private)
    (tmp_path / "tsa.pem").write_bytes(own.public_bytes(pem))
    (tmp_path / "chain.pem").write_bytes(own.public_bytes(pem) + root.public_bytes(pem))
    (tmp_path / "tsa.conf").write_text(CONFIGURATION.format(folder=tmp_path))
    (tmp_path / "serial").write_text("01\n")
    with Service(tmp_path) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def test_a_signature_has_the_time_of_the_service(
    authority: Path, trust: str, video: Path, service: Service, tmp_path: Path
) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    signer = Signer(SigningSettings(authority / "certificate.pem", authority / "key.pem", timestamp_url=service.url))
    signer.check()
    target = tmp_path / "signed.mp4"
    sign_file(signer, video, target, Generation("run-7", "anna", "abc", "fedc", "", []), composite=False)
    found = read_credentials(target, trust)
    assert (found.state, service.asked) == ("trusted", 2)
    assert before <= datetime.fromisoformat(found.signed_at) <= datetime.now(UTC)


def test_a_reply_that_is_no_time_stamp(authority: Path, service: Service) -> None:
    service.broken = True
    signer = Signer(SigningSettings(authority / "certificate.pem", authority / "key.pem", timestamp_url=service.url))
    with pytest.raises(SigningError, match=r"time stamps of http://127.0.0.1:\d+/ failed"):
        signer.check()
