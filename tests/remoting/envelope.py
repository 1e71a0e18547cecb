"""SOAP envelopes of WS-Management: reading what was asked, writing what is answered ([MS-WSMV] sections 2.2, 3.1.4)."""

import dataclasses
import re
import typing
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

S = "http://www.w3.org/2003/05/soap-envelope"
A = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
W = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
P = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
N = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
X = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
F = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
PWSH = "http://schemas.microsoft.com/powershell"
ANONYMOUS = f"{A}/role/anonymous"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

ACTIONS = {
    f"{X}/Create": "Create",
    f"{X}/Delete": "Delete",
    f"{X}/Get": "Get",
    f"{N}/Enumerate": "Enumerate",
    f"{RSP}/Command": "Command",
    f"{RSP}/Send": "Send",
    f"{RSP}/Receive": "Receive",
    f"{RSP}/Signal": "Signal",
    f"{RSP}/Disconnect": "Disconnect",
    f"{RSP}/Reconnect": "Reconnect",
    f"{RSP}/Connect": "Connect",
}

# Faults that clients act upon, by what they mean.
OPERATION_TIMED_OUT = 2150858793
SHELL_GONE = 2150858843
OPERATION_ABORTED = 995
INVALID_PARAMETER = 87
ALREADY_EXISTS = 183
ENVELOPE_TOO_LARGE = 2150858823
UNSUPPORTED_ACTION = 2150858754
PSRP_REFUSED = 2152991672
SHELL_DISCONNECTED = 2150859204
WRONG_SESSION = 2150859206
CONNECTED_ELSEWHERE = 2150859213
NOT_DISCONNECTED = 2150859216

_SUBCODES = {
    OPERATION_TIMED_OUT: "w:TimedOut",
    SHELL_GONE: "w:InvalidSelectors",
    ENVELOPE_TOO_LARGE: "w:EncodingLimit",
    UNSUPPORTED_ACTION: "a:ActionNotSupported",
    ALREADY_EXISTS: "w:AlreadyExists",
}
_DURATION = re.compile(r"^PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?$")


class Fault(Exception):
    """An answer of failure."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Malformed(Exception):
    """Not an envelope at all."""


@dataclasses.dataclass
class Asked:
    """One request."""

    action: str
    message_id: str
    resource: str
    to: str
    reply_to: str
    max_envelope: typing.Optional[int]
    timeout: typing.Optional[float]
    session: str
    options: typing.Dict[str, typing.Tuple[str, bool]]
    selectors: typing.Dict[str, str]
    languages: int
    body: typing.Optional[ET.Element]
    # Headers that must be understood and that nobody here knows.
    unknown: typing.List[str]
    repeated: typing.List[str]

    @property
    def shell(self) -> str:
        """The shell that is meant."""
        return self.selectors.get("ShellId", "")


def seconds(duration: str) -> typing.Optional[float]:
    """The seconds of an `xs:duration` below a day."""
    match = _DURATION.match(duration)
    if match is None or duration == "PT":
        return None
    hours, minutes, rest = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)


def read(message: bytes) -> Asked:
    """Reads an envelope."""
    if b"<!DOCTYPE" in message or b"<!ENTITY" in message:
        raise Malformed("a document type declaration")
    try:
        root = ET.fromstring(message)
    except ET.ParseError as error:
        raise Malformed(str(error)) from error
    header, body = root.find(f"{{{S}}}Header"), root.find(f"{{{S}}}Body")
    if root.tag != f"{{{S}}}Envelope" or header is None or body is None:
        raise Malformed("no Envelope with Header and Body")
    known = {
        f"{{{A}}}": ("Action", "MessageID", "To", "ReplyTo"),
        f"{{{W}}}": ("ResourceURI", "MaxEnvelopeSize", "OperationTimeout", "OptionSet", "SelectorSet", "Locale"),
        f"{{{P}}}": ("SessionId", "DataLocale", "OperationID", "SequenceId", "ActivityId", "CompressionType"),
    }
    names = {space + name for space, all_names in known.items() for name in all_names}
    tags = [element.tag for element in header]

    def text(space: str, name: str) -> str:
        return (header.findtext(f"{{{space}}}{name}") or "").strip()

    options = {
        option.get("Name", ""): (option.text or "", option.get("MustComply") == "true")
        for option in header.findall(f"{{{W}}}OptionSet/{{{W}}}Option")
    }
    size = text(W, "MaxEnvelopeSize")
    action = text(A, "Action")
    return Asked(
        action=ACTIONS.get(action, action),
        message_id=text(A, "MessageID"),
        resource=text(W, "ResourceURI"),
        to=text(A, "To"),
        reply_to=(header.findtext(f"{{{A}}}ReplyTo/{{{A}}}Address") or "").strip(),
        max_envelope=int(size) if size.isdecimal() else None,
        timeout=seconds(text(W, "OperationTimeout")),
        session=text(P, "SessionId"),
        options=options,
        selectors={
            selector.get("Name", ""): selector.text or ""
            for selector in header.findall(f"{{{W}}}SelectorSet/{{{W}}}Selector")
        },
        languages=sum(1 for element in header if element.get(XML_LANG)),
        body=next(iter(body), None),
        unknown=[e.tag for e in header if e.get(f"{{{S}}}mustUnderstand") in ("true", "1") and e.tag not in names],
        repeated=sorted({tag for tag in tags if tags.count(tag) > 1}),
    )


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    relates = f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo>" if relates_to else ""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{S}" xmlns:a="{A}" xmlns:w="{W}" xmlns:p="{P}" xmlns:rsp="{RSP}" '
        f'xmlns:x="{X}" xmlns:n="{N}"><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{ANONYMOUS}</a:To>{relates}</s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def answer(asked: Asked, body: str) -> bytes:
    """The good answer."""
    action = next(uri for uri, name in ACTIONS.items() if name == asked.action) + "Response"
    return _envelope(action, asked.message_id, body)


def fault(relates_to: str, wrong: Fault) -> bytes:
    """The answer that something is wrong, as Windows words it ([MS-WSMV] section 2.2.4.43)."""
    subcode = _SUBCODES.get(wrong.code, "w:InternalError")
    text = escape(wrong.text)
    return _envelope(
        f"{W.rsplit('/', 1)[0]}/fault" if subcode.startswith("w:") else f"{A}/fault",
        relates_to,
        f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{F}" Code="{wrong.code}" Machine="judge.lab.local"><f:Message>{text}</f:Message>'
        "</f:WSManFault></s:Detail></s:Fault>",
    )
