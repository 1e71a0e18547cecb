"""Messages sealed by the security context of their connection ([MS-WSMV] section 2.2.9.1).

Stricter than Windows: the layout must be exact, because what a client gets away with here is what it will send.
"""

import re
import struct

BOUNDARY = b"--Encrypted Boundary"
# By the scheme of the logon.
PROTOCOLS = {"Negotiate": "application/HTTP-SPNEGO-session-encrypted", "Kerberos": "application/HTTP-Kerberos-session-encrypted"}

_HEADER = re.compile(
    re.escape(BOUNDARY)
    + rb"\r\n\tContent-Type: (application/HTTP-[A-Za-z]+-session-encrypted)"
    + rb"\r\n\tOriginalContent: type=application/soap\+xml;charset=UTF-8;Length=([0-9]+)\r\n"
    + re.escape(BOUNDARY)
    + rb"\r\n\tContent-Type: application/octet-stream\r\n"
)
_END = BOUNDARY + b"--\r\n"


class NotSealed(Exception):
    """A body that is not a sealed message."""


def is_sealed(content_type: str) -> bool:
    """Whether a Content-Type announces a sealed message."""
    return content_type.lower().startswith("multipart/encrypted")


def protocol(scheme: str) -> str:
    """The type of what is inside, for a connection that was logged on by `scheme`."""
    return PROTOCOLS["Kerberos" if scheme.startswith("Kerberos") else "Negotiate"]


def content_type(scheme: str) -> str:
    """The Content-Type of a sealed message."""
    return f'multipart/encrypted;protocol="{protocol(scheme)}";boundary="Encrypted Boundary"'


def unseal(context, body: bytes, scheme: str) -> bytes:
    """The message in `body`."""
    header = _HEADER.match(body)
    if header is None:
        raise NotSealed("the headers of the sealed parts are not as they must be")
    if header.group(1).decode() != protocol(scheme):
        raise NotSealed(f"the sealed part is {header.group(1).decode()} after a logon by {scheme}")
    # The boundary may occur in the sealed bytes: only the fixed end counts.
    if not body.endswith(_END):
        raise NotSealed("the sealed body does not end with its boundary")
    sealed = body[header.end() : -len(_END)]
    if len(sealed) < 4:
        raise NotSealed("the sealed body has no signature")
    (length,) = struct.unpack("<I", sealed[:4])
    if length != context.query_message_sizes().header:
        raise NotSealed(f"the signature has {length} bytes")
    plain = context.unwrap_winrm(sealed[4 : 4 + length], sealed[4 + length :])
    if len(plain) != int(header.group(2)):
        raise NotSealed(f"Length= says {int(header.group(2))}, the message has {len(plain)} bytes")
    return plain


def seal(context, message: bytes, scheme: str, *, wrong_length: bool = False, wrong_signature: bool = False) -> bytes:
    """`message` as a sealed body; the wrong ones on request."""
    signature, data, padding = context.wrap_winrm(message)
    if wrong_signature:
        signature = signature[:4] + bytes(byte ^ 0xFF for byte in signature[4:12]) + signature[12:]
    length = len(message) + padding + (7 if wrong_length else 0)
    head = (
        f"\r\n\tContent-Type: {protocol(scheme)}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={length}\r\n"
    ).encode()
    return b"".join(
        [
            BOUNDARY,
            head,
            BOUNDARY,
            b"\r\n\tContent-Type: application/octet-stream\r\n",
            struct.pack("<I", len(signature)),
            signature,
            data,
            _END,
        ]
    )
