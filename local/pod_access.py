"""How clients reach the pod runner and prove themselves: a certificate, a token, and the kubeconfig with both.

TLS on loopback, because kubectl sends no credentials over plain HTTP: it then does not read the user at all.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.credentials import write_secret
from local.pod_spec import NAMESPACE
from local.pod_status import ADDRESS

_DAYS = 3650
_BACKDATED = timedelta(days=1)


class Access:
    """The files `tls.crt`, `tls.key` and `kubeconfig` of a folder.

    They are kept: a client that has read them once goes on working after a restart of the pod runner.
    """

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.kubeconfig = folder / "kubeconfig"
        if not (self.certificate.is_file() and self.key.is_file()):
            self._make_certificate()
        self.token = self._known_token() or secrets.token_urlsafe(32)

    def write_kubeconfig(self, port: int) -> None:
        """Write the kubeconfig, as JSON (which is YAML), for a pod runner that listens on a port."""
        authority = base64.b64encode(self.certificate.read_bytes()).decode()
        cluster = {"server": f"https://{ADDRESS}:{port}", "certificate-authority-data": authority}
        context = {"cluster": NAMESPACE, "user": NAMESPACE, "namespace": NAMESPACE}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": NAMESPACE, "cluster": cluster}],
            "users": [{"name": NAMESPACE, "user": {"token": self.token}}],
            "contexts": [{"name": NAMESPACE, "context": context}],
            "current-context": NAMESPACE,
        }
        write_secret(self.kubeconfig, json.dumps(content, indent=2))

    def _known_token(self) -> str | None:
        if not self.kubeconfig.is_file():
            return None
        token: str = json.loads(self.kubeconfig.read_text())["users"][0]["user"]["token"]
        return token

    def _make_certificate(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "appraiser pod runner")])
        names = [x509.IPAddress(ipaddress.ip_address(ADDRESS)), x509.DNSName("localhost")]
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        usage = x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        moment = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - _BACKDATED)
            .not_valid_after(moment + timedelta(days=_DAYS))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            # Its own authority, with all that Python 3.13 asks of one (VERIFY_X509_STRICT).
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        form = serialization.PrivateFormat.PKCS8
        pem = serialization.Encoding.PEM
        write_secret(self.key, key.private_bytes(pem, form, serialization.NoEncryption()).decode())
        write_secret(self.certificate, certificate.public_bytes(pem).decode())
