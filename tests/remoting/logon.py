"""Who is at the other end of a connection: Basic, Negotiate (raw NTLM and SPNEGO), NTLM, Kerberos, client certificate.

One connection has one logon. The NTLM acceptor is pyspnego's; it takes a missing channel binding for a good one,
so bindings are looked at here before it sees the token.
"""

import base64
import dataclasses
import hashlib
import typing

import spnego
from cryptography import x509
from spnego._ntlm_raw.messages import Authenticate, AvId, NTClientChallengeV2
from spnego.channel_bindings import GssChannelBindings

MUTUAL_TLS = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
# [MS-NLMP] section 2.2.2.5.
SIGN, SEAL = 0x10, 0x20


@dataclasses.dataclass
class Rules:
    """How one may log on here."""

    user: str
    password: str
    offers: typing.List[str]
    # `required`, `optional` (looked at if there is one), `off`.
    bindings: str
    # The certificate that the server shows, DER; None without TLS.
    certificate: typing.Optional[bytes]
    # The host in the principal whose key is in the keytab; with it, Kerberos is taken and NTLM is not.
    host: str = ""


class Refused(Exception):
    """Not logged on; the text is for the record, not for the client."""


@dataclasses.dataclass
class Step:
    """The outcome of one request's Authorization."""

    done: bool
    # For WWW-Authenticate.
    token: typing.Optional[str] = None


def endpoint_bindings(certificate: bytes) -> GssChannelBindings:
    """The `tls-server-end-point` binding (RFC 5929 section 4.1) of a DER certificate."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "sha256"
    if name in ("md5", "sha1"):
        name = "sha256"
    return GssChannelBindings(application_data=b"tls-server-end-point:" + hashlib.new(name, certificate).digest())


class Logon:
    """The logon of one connection."""

    def __init__(self, rules: Rules, records) -> None:
        self.rules = rules
        self.records = records
        self.done = False
        self.scheme = ""
        self.user = ""
        # The security context that seals messages; None where there is none.
        self.context = None

    def challenges(self) -> typing.List[str]:
        """What to offer with a 401."""
        return ['Basic realm="WSMAN"' if offer == "Basic" else offer for offer in self.rules.offers]

    def step(self, authorization: str, peer_certificate: typing.Optional[bytes]) -> Step:
        """Takes the Authorization of one request."""
        if authorization == MUTUAL_TLS:
            if peer_certificate is None or "Certificate" not in self.rules.offers:
                raise Refused("no certificate of the client")
            self._finish("Certificate", x509.load_der_x509_certificate(peer_certificate).subject.rfc4514_string())
            return Step(True)
        scheme, _, value = authorization.partition(" ")
        if scheme not in self.rules.offers:
            raise Refused(f"{scheme} is not offered")
        try:
            token = base64.b64decode(value.strip(), validate=True)
        except ValueError as error:
            raise Refused("the Authorization is not base64") from error
        if scheme == "Basic":
            user, _, password = token.decode("utf-8", "replace").partition(":")
            if (user, password) != (self.rules.user, self.rules.password):
                raise Refused(f"Basic: wrong user or password of {user}")
            self._finish("Basic", user)
            return Step(True)
        return self._negotiate(scheme, token)

    def _negotiate(self, scheme: str, token: bytes) -> Step:
        if self.context is None or self.done:
            # A client that logs on again does so from the start.
            self.done = False
            self.context = self._acceptor(scheme, token)
        bindings = self._bindings(token)
        try:
            answer = self.context.step(token, channel_bindings=bindings)
        except Exception as error:  # Whatever pyspnego raises, the client is not logged on.
            self.context = None
            raise Refused(f"{scheme}: {type(error).__name__}: {error}") from error
        if self.context.complete:
            kind = "raw NTLM" if token.startswith(b"NTLMSSP\0") else "SPNEGO"
            if self.context.negotiated_protocol == "kerberos":
                kind = "raw" if scheme == "Kerberos" else "SPNEGO with Kerberos"
            self._finish(f"{scheme} {kind}", self.context.client_principal)
        encoded = None if answer is None else f"{scheme} {base64.b64encode(answer).decode()}"
        return Step(self.context.complete, encoded)

    def _acceptor(self, scheme: str, token: bytes):
        """A security context for the first token."""
        if not self.rules.host:
            return spnego.server(protocol="ntlm" if scheme == "NTLM" else "negotiate")
        if b"NTLMSSP\0" in token:
            raise Refused(f"{scheme}: NTLM where a ticket is due")
        protocol = "kerberos" if scheme == "Kerberos" else "negotiate"
        return spnego.server(hostname=self.rules.host, service="HTTP", protocol=protocol)

    def _bindings(self, token: bytes) -> typing.Optional[GssChannelBindings]:
        """Looks at the AUTHENTICATE message in `token`, if there is one, and says what pyspnego must compare."""
        start = token.find(b"NTLMSSP\0\x03\0\0\0")
        if start < 0:
            return None
        message = Authenticate.unpack(token[start:])
        if self.rules.certificate is None and (int(message.flags) & (SIGN | SEAL)) != SIGN | SEAL:
            self.records.violation("NTLM over plain HTTP asks for signing and sealing", flags=hex(int(message.flags)))
        if self.rules.certificate is None or self.rules.bindings == "off":
            return None
        response = message.nt_challenge_response or b""
        pairs = NTClientChallengeV2.unpack(response[16:]).av_pairs if len(response) > 24 else {}
        found = pairs.get(AvId.channel_bindings, b"")
        if not found.strip(b"\0"):
            if self.rules.bindings == "required":
                self.context = None
                raise Refused("no channel binding")
            return None
        return endpoint_bindings(self.rules.certificate)

    def _finish(self, scheme: str, user: typing.Optional[str]) -> None:
        if self.done and (scheme, user) == (self.scheme, self.user):
            # Basic comes with every request; that is one logon.
            return
        self.done = True
        self.scheme = scheme
        self.user = user or ""
        self.records.request("LoggedOn", scheme=scheme, user=self.user)
