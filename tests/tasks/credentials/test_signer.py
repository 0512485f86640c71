"""Signers that work, and all ways in which one may not."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.credentials.authority import create_authority
from tasks.credentials.settings import SigningSettings
from tasks.credentials.signer import Signer
from troupe.errors import SettingsError, SigningError

Keys = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def python(program: str) -> str:
    """Return a command that runs a program of Python."""
    return shlex.join([sys.executable, "-c", program])


def by_command(authority: Path, command: str, timeout: float = 20.0) -> Signer:
    return Signer(SigningSettings(authority / "certificate.pem", command=command, timeout=timeout))


def signing_program(key: Path) -> str:
    """Return a command that signs with a key, as one of an HSM would."""
    return python(
        "import sys; from cryptography.hazmat.primitives import hashes, serialization as s;"
        "from cryptography.hazmat.primitives.asymmetric import ec;"
        f"k = s.load_pem_private_key(open({str(key)!r}, 'rb').read(), None);"
        "sys.stdout.buffer.write(k.sign(sys.stdin.buffer.read(), ec.ECDSA(hashes.SHA256())))"
    )


def test_a_new_authority_can_sign_and_keeps_its_key_private(tmp_path: Path) -> None:
    files = create_authority(tmp_path / "new")
    Signer(SigningSettings(files["certificate.pem"], files["key.pem"])).check()
    assert files["key.pem"].stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match=r"already there: \S+key.pem, \S+certificate.pem, \S+root.pem; "):
        create_authority(tmp_path / "new")


def test_a_command_signs(authority: Path) -> None:
    by_command(authority, signing_program(authority / "key.pem")).check()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (python("import sys; sys.exit('slot 3 is locked')"), "the signing command exited with 1: slot 3 is locked"),
        (python("import time; time.sleep(60)"), "the signing command timed out after 0.5 s"),
        (python("print('no signature')"), "the command did not sign with the key of"),
        ("/no/such/program", "the signing command cannot be started: No such file or directory"),
        ("'", "the signing command cannot be started: invalid command line"),
        (python("pass"), "the command did not sign with the key of"),
    ],
)
def test_commands_that_do_not_sign(authority: Path, command: str, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        by_command(authority, command, 0.5 if "sleep" in command else 20.0).check()


def test_a_command_that_hangs_ends_with_all_that_it_started(authority: Path, tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = shlex.join(["sh", "-c", f"sleep 60 & echo $! > {shlex.quote(str(started))}; wait"])
    with pytest.raises(SigningError, match="timed out"):
        by_command(authority, command, 0.5).check()
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(started.read_text())).wait(5)


def hang(data: bytes) -> bytes:
    import threading

    threading.Event().wait(5)
    return data


def fail(data: bytes) -> bytes:
    raise RuntimeError("the PIN 1234 is wrong")


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        ("hang", "hang timed out after 0.2 s"),
        ("fail", "fail failed: RuntimeError$"),
        ("missing", "missing cannot be imported: AttributeError"),
    ],
)
def test_functions_that_do_not_sign(authority: Path, callback: str, message: str) -> None:
    settings = SigningSettings(authority / "certificate.pem", callback=f"{__name__}:{callback}", timeout=0.2)
    with pytest.raises(SigningError, match=message):
        Signer(settings).check()


def test_a_key_of_another_certificate(authority: Path, tmp_path: Path) -> None:
    other = create_authority(tmp_path / "other")
    with pytest.raises(SigningError, match=r"other/key.pem did not sign with the key of \S+certificate.pem; use a key"):
        Signer(SigningSettings(authority / "certificate.pem", other["key.pem"])).check()


def test_a_certificate_that_has_expired(tmp_path: Path) -> None:
    files = create_authority(tmp_path / "old", days=-1)
    with pytest.raises(SigningError, match=r"is valid from .* UTC only; get a new certificate"):
        Signer(SigningSettings(files["certificate.pem"], files["key.pem"])).check()


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("no.pem", "key.pem", "the certificate .*no.pem cannot be read: No such file"),
        ("certificate.pem", "no.pem", "the key .*no.pem cannot be read: No such file"),
        ("key.pem", "key.pem", "key.pem has no certificate in PEM"),
        ("certificate.pem", "certificate.pem", "certificate.pem has no unencrypted private key in PEM$"),
    ],
)
def test_files_that_are_not_what_they_should_be(authority: Path, certificate: str, key: str, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        Signer(SigningSettings(authority / certificate, authority / key)).check()


def certify(key: Keys, folder: Path, purpose: x509.ObjectIdentifier) -> Signer:
    """Return the signer of a certificate that has itself as its issuer."""
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "own"), x509.NameAttribute(NameOID.COMMON_NAME, "own")]
    )
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
        False,
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(1), now + timedelta(9))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, encipher_only=False, decipher_only=False, **usage), True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(certificate.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "k.pem").write_bytes(private)
    return Signer(SigningSettings(folder / "c.pem", folder / "k.pem"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["RSA", "P-384", "Ed25519"],
)
def test_other_keys(tmp_path: Path, make: Callable[[], Keys]) -> None:
    certify(make(), tmp_path, ExtendedKeyUsageOID.EMAIL_PROTECTION).check()


@pytest.mark.parametrize(
    ("purpose", "message"),
    [
        (ExtendedKeyUsageOID.CODE_SIGNING, r"signing with \S+c.pem failed: Signature: the certificate is invalid"),
        (x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36"), r"c.pem cannot sign Content Credentials: .*required EKU"),
    ],
)
def test_a_certificate_for_another_purpose(tmp_path: Path, purpose: x509.ObjectIdentifier, message: str) -> None:
    signer = certify(ec.generate_private_key(ec.SECP256R1()), tmp_path, purpose)
    with pytest.raises(SigningError, match=message):
        signer.check()


def test_a_curve_that_c2pa_does_not_have(tmp_path: Path) -> None:
    signer = certify(ec.generate_private_key(ec.SECP256K1()), tmp_path, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    with pytest.raises(SigningError, match="of a type that C2PA does not support; use P-256, RSA or Ed25519"):
        signer.check()


def test_the_key_of_results_changes_with_the_certificate_and_with_time_stamps(authority: Path) -> None:
    plain = SigningSettings(authority / "certificate.pem", authority / "key.pem")
    stamped = SigningSettings(authority / "certificate.pem", authority / "key.pem", timestamp_url="http://time")
    other = SigningSettings(authority / "certificate.pem", command="hsm")
    assert Signer(plain).key == Signer(other).key != Signer(stamped).key


def test_a_time_stamp_service_that_cannot_be_reached(authority: Path) -> None:
    settings = SigningSettings(
        authority / "certificate.pem", authority / "key.pem", timestamp_url="http://127.0.0.1:9/"
    )
    with pytest.raises(SigningError, match=r"and time stamps of http://127.0.0.1:9/ failed"):
        Signer(settings).check()
