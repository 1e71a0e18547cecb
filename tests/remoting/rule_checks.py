"""Breaks every rule of `strict.py`, `clixml_rules.py` and `sealing.py` once, and looks whether it is found.

Good messages are psrpcore's; the broken ones are made of them. One line of JSON per check, as in `clients.py`.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile
import traceback
import typing
import uuid

from psrpcore import ClientPowerShell, ClientRunspacePool
from psrpcore._payload import create_fragment, create_message
from psrpcore.types import PSRPMessageType

import clixml_rules
import envelope
import sealing
import strict
from records import Records

POOL = uuid.UUID("10000000-0000-4000-8000-0000000000AB")
PIPELINE = uuid.UUID("20000000-0000-4000-8000-0000000000CD")
SHELL = str(POOL).upper()
COMMAND = str(PIPELINE).upper()
FOLDER = tempfile.TemporaryDirectory(prefix="relevo-rules-")


class Found(Records):
    """Keeps what was found."""

    def __init__(self) -> None:
        super().__init__(pathlib.Path(FOLDER.name))
        self.rules: typing.List[str] = []

    def violation(self, rule: str, **context) -> None:
        self.rules.append(rule)


@dataclasses.dataclass
class Part:
    """One message on its way: what a broken client may change."""

    number: int
    kind: int
    data: bytes
    pool: uuid.UUID = POOL
    pipeline: typing.Optional[uuid.UUID] = None
    destination: int = 2
    command: str = ""
    stream: str = "stdin"

    def message(self) -> bytes:
        """The whole message."""
        whole = create_message(True, PSRPMessageType.SessionCapability, self.data, self.pool, self.pipeline)
        return self.destination.to_bytes(4, "little") + self.kind.to_bytes(4, "little") + whole[8:]

    def fragment(self) -> bytes:
        """As one fragment."""
        return create_fragment(self.number, 0, self.message(), True)


def _good() -> typing.List[Part]:
    """Capability, init, create pipeline, as psrpcore's client makes them."""
    client = ClientRunspacePool(runspace_pool_id=POOL)
    client.open()
    datas = [bytes(message.data)[40:] for message in client._send_buffer]
    client._send_buffer.clear()
    from psrpcore.types import RunspacePoolState

    client.state = RunspacePoolState.Opened
    shell = ClientPowerShell(client)
    shell.add_command("Get-Service").add_parameter("Name", "Spooler")
    shell.start()
    datas.append(bytes(client._send_buffer[0].data)[40:])
    return [
        Part(1, strict.CAPABILITY, datas[0]),
        Part(2, strict.INIT, datas[1]),
        Part(3, strict.CREATE_PIPELINE, datas[2], pipeline=PIPELINE, command=COMMAND),
    ]


def _found(parts: typing.Iterable[Part], opened: bool = True) -> typing.List[str]:
    records = Found()
    pool = strict.Pool(records, SHELL)
    for part in parts:
        if part.kind == strict.CREATE_PIPELINE:
            pool.opened = opened
        pool.payload(part.fragment(), part.command, part.stream)
    return records.rules


def _raw(*payloads: bytes) -> typing.List[str]:
    records = Found()
    pool = strict.Pool(records, SHELL)
    for payload in payloads:
        pool.payload(payload, "", "stdin")
    return records.rules


CHECKS: typing.List[typing.Tuple[str, str, typing.Callable[[], typing.List[str]]]] = []


def broken(rule: str, name: str):
    """A way to break `rule`."""

    def register(function):
        CHECKS.append((name, rule, function))
        return function

    return register


def message(rule: str, name: str, place: int, **changes) -> None:
    """One of the good messages, changed."""

    def made() -> typing.List[str]:
        parts = _good()
        parts[place] = dataclasses.replace(parts[place], **changes)
        return _found(parts)

    CHECKS.append((name, rule, made))


def data(rule: str, name: str, place: int, old: bytes, new: bytes) -> None:
    """One of the good messages, with other data."""

    def made() -> typing.List[str]:
        parts = _good()
        assert old in parts[place].data, f"{old!r} is not in {parts[place].data!r}"
        parts[place].data = parts[place].data.replace(old, new, 1)
        return _found(parts)

    CHECKS.append((name, rule, made))


def clixml(rule: str, name: str, text: str) -> None:
    """A text that is no good CLIXML."""
    CHECKS.append((name, rule, lambda: [found for found, _ in clixml_rules.check(text.encode(), "PIPELINE_INPUT")]))


message("the RPID is that of the shell", "wrong RPID", 1, pool=PIPELINE)
message("the destination is the server (2)", "wrong destination", 0, destination=1)
message("the message is one that a client sends", "unknown message", 2, kind=0x00099999)
message("the PID is the CommandId", "another CommandId", 2, command=SHELL)
message("the PID is the CommandId", "no CommandId", 2, command="")
message("a message to the pool has no PID", "init with a PID", 1, pipeline=PIPELINE)
message("answers of the host, and they alone, go to the stream pr", "create on pr", 2, stream="pr")
message("object ids ascend from 1 and are never used again", "object id 0", 0, number=0)
message("object ids ascend from 1 and are never used again", "object id again", 2, number=2)
message("object ids ascend from 1 and are never used again", "object id goes back", 1, number=1)
broken("nothing is asked of a pool before the client has heard that it is open", "too early")(lambda: _found(_good(), False))
broken("the first message is SESSION_CAPABILITY", "init first")(lambda: _found([_good()[1], _good()[2]]))
broken("the second message is INIT_RUNSPACEPOOL", "no init")(lambda: _found([_good()[0], _good()[2]]))
broken("a pool is opened once", "init again")(lambda: _found([*_good()[:2], dataclasses.replace(_good()[1], number=9)]))
broken("a PID is used once", "PID again")(lambda: _found([*_good(), dataclasses.replace(_good()[2], number=9)]))

_WHOLE = _good()[0].fragment()
broken("a fragment is not split over payloads", "split in the data")(lambda: _raw(_WHOLE[:100], _WHOLE[100:]))
broken("a fragment is not split over payloads", "split in the header")(lambda: _raw(_WHOLE[:10]))
broken("a payload is not empty", "empty payload")(lambda: _raw(b""))
broken("a fragment is not empty", "empty fragment")(lambda: _raw(create_fragment(1, 0, b"", True)))
broken("only the bits start and end are set", "another bit")(lambda: _raw(_WHOLE[:16] + b"\x07" + _WHOLE[17:]))
broken("the first fragment, and it alone, has the start bit", "no start bit")(lambda: _raw(_WHOLE[:16] + b"\x02" + _WHOLE[17:]))
broken("a fragment belongs to an object that began", "no beginning")(lambda: _raw(create_fragment(1, 1, b"x", True)))
broken("fragment ids ascend by one from 0", "a fragment is missing")(
    lambda: _raw(create_fragment(1, 0, b"x", False), create_fragment(1, 2, b"x", True))
)
broken("a message has its 40 bytes of header", "short message")(lambda: _raw(create_fragment(1, 0, b"short", True)))

data("the versions of SESSION_CAPABILITY are known ones", "version 3.0", 0, b">2.3<", b">3.0<")
data("a field has its type", "version as a string", 0, b'<Version N="protocolversion">2.3</Version>', b'<S N="protocolversion">2.3</S>')
data("the message has all its fields", "no MinRunspaces", 1, b'N="MinRunspaces"', b'N="Other"')
data("HostInfo has its four flags", "half a HostInfo", 1, b'N="_isHostNull"', b'N="_other"')
data("the message has all its fields", "no NoInput", 2, b'N="NoInput"', b'N="Other"')
data("a command has all its fields", "no MergeMyResult", 2, b'N="MergeMyResult"', b'N="Other"')
data("an argument has N and V", "argument without N", 2, b'<S N="N">Name</S>', b"")
data("a parameter's name is a string without - and :", "a dash", 2, b'<S N="N">Name</S>', b'<S N="N">-Name</S>')
data("a parameter's name is a string without - and :", "a colon", 2, b'<S N="N">Name</S>', b'<S N="N">Name:</S>')
data("the data is well-formed XML in UTF-8", "no XML", 2, b"</Obj>", b"")
data("no document type declaration", "DOCTYPE", 2, b"<Obj", b"<!DOCTYPE a><Obj")


@broken("an enumeration is an Obj with its type names and its number", "enum as a string")
def _enum_as_string() -> typing.List[str]:
    parts = _good()
    text = parts[1].data.decode()
    end = text.index('N="ApartmentState"')
    begin, end = text.rindex("<Obj", 0, end), text.index("</Obj>", end) + len("</Obj>")
    parts[1].data = (text[:begin] + '<S N="ApartmentState">Unknown</S>' + text[end:]).encode()
    return _found(parts)


clixml("a RefId of Obj is used once in a message", "RefId twice", '<Obj RefId="0"><LST><Obj RefId="0"><LST/></Obj></LST></Obj>')
clixml("a RefId of TN is used once in a message", "TN twice",
       '<Obj RefId="0"><TN RefId="0"><T>a</T></TN><LST><Obj RefId="1"><TN RefId="0"><T>b</T></TN><LST/></Obj></LST></Obj>')
clixml("Obj has a RefId", "no RefId", "<Obj><LST/></Obj>")
clixml("a Ref names an object that began before", "Ref to nothing", '<Obj RefId="0"><LST><Ref RefId="7"/></LST></Obj>')
clixml("a TNRef names a TN that came before", "TNRef to nothing", '<Obj RefId="0"><TNRef RefId="7"/><LST/></Obj>')
clixml("a TN lists type names", "empty TN", '<Obj RefId="0"><TN RefId="0"/><LST/></Obj>')
clixml("the element is one of CLIXML", "unknown element", "<Foo>1</Foo>")
clixml("a primitive has no elements in it", "element in a string", "<S><S>a</S></S>")
clixml("an integer is in the range of its type", "byte 256", "<By>256</By>")
clixml("an integer is in the range of its type", "int with a space", "<I32> 1</I32>")
clixml("a primitive has the shape of its type", "True", "<B>True</B>")
clixml("a primitive has the shape of its type", "GUID with braces", "<G>{01234567-89ab-cdef-0123-456789abcdef}</G>")
clixml("a primitive has the shape of its type", "date without time", "<DT>2026-11-28</DT>")
clixml("a primitive has the shape of its type", "duration in seconds", "<TS>90</TS>")
clixml("a primitive has the shape of its type", "Infinity", "<Db>Infinity</Db>")
clixml("a primitive has the shape of its type", "decimal with exponent", "<D>1E-5</D>")
clixml("a primitive has the shape of its type", "a full Nil", "<Nil>x</Nil>")
clixml("bytes are base64", "no base64", "<BA>*</BA>")
clixml("control characters in a string are escaped", "raw line feed", "<S>a\nb</S>")
clixml("control characters in a name are escaped", "raw tab in a name", '<Obj RefId="0"><MS><S N="a&#9;b">x</S></MS></Obj>')
clixml("properties have names, each once", "the same name twice", '<Obj RefId="0"><MS><S N="a">x</S><S N="a">y</S></MS></Obj>')
clixml("properties have names, each once", "no name", '<Obj RefId="0"><MS><S>x</S></MS></Obj>')
clixml("a dictionary has entries of Key and Value", "value first",
       '<Obj RefId="0"><DCT><En><S N="Value">x</S><S N="Key">y</S></En></DCT></Obj>')
clixml("an Obj has no text of its own", "text in an Obj", '<Obj RefId="0">text<LST/></Obj>')
clixml("objects nest at most 64 deep", "too deep",
       "".join(f'<Obj RefId="{n}"><LST>' for n in range(70)) + "</LST></Obj>" * 70)


# ---- Envelopes ----

ASKED = envelope.Asked(
    action="Create",
    message_id=f"uuid:{SHELL}",
    resource="http://schemas.microsoft.com/powershell/Microsoft.PowerShell",
    to="http://127.0.0.1:5985/wsman",
    reply_to=envelope.ANONYMOUS,
    max_envelope=153600,
    timeout=20.0,
    session="",
    options={"protocolversion": ("2.3", True)},
    selectors={},
    languages=2,
    body=None,
    unknown=[],
    repeated=[],
)


def header(rule: str, name: str, size: int = 1000, **changes) -> None:
    """A good request, changed."""

    def made() -> typing.List[str]:
        records = Found()
        strict.Envelopes(records, 512000).check(dataclasses.replace(ASKED, **changes), "/wsman", size)
        return records.rules

    CHECKS.append((name, rule, made))


header("the action is known", "unknown action", action="http://example.org/Foo")
header("MessageID begins with uuid:", "bare MessageID", message_id=SHELL)
header("MessageID is a GUID in upper case", "MessageID in lower case", message_id=f"uuid:{SHELL.lower()}")
header("ReplyTo is the anonymous address", "no ReplyTo", reply_to="")
header("To is the address of the request", "To elsewhere", to="http://127.0.0.1:5985/other")
header("OperationTimeout is a duration", "no OperationTimeout", timeout=None)
header("MaxEnvelopeSize is a number from 8192 on", "tiny MaxEnvelopeSize", max_envelope=100)
header("a request keeps to MaxEnvelopeSize", "a large request", size=153601)
header("Locale and DataLocale name a language", "no language", languages=1)
header("SessionId is a GUID in upper case", "odd SessionId", session="uuid:1")
header("what must be understood is known", "unknown header", unknown=["x"])
header("a header occurs once", "To twice", repeated=["To"])
header("Create has the option protocolversion 2.x with MustComply", "no protocolversion", options={})
header("Create has the option protocolversion 2.x with MustComply", "not MustComply", options={"protocolversion": ("2.3", False)})
header("Create has no selectors", "Create with a selector", selectors={"ShellId": SHELL})
header("the selector ShellId is a GUID in upper case", "no ShellId", action="Receive")


@broken("a MessageID is used once", "MessageID twice")
def _twice() -> typing.List[str]:
    records = Found()
    rules = strict.Envelopes(records, 512000)
    for _ in range(2):
        rules.check(ASKED, "/wsman", 1000)
    return records.rules


# ---- Sealing ----


class Plain:
    """A context that seals nothing: only the layout is looked at."""

    def query_message_sizes(self):
        return type("Sizes", (), {"header": 4})

    def wrap_winrm(self, data: bytes):
        return b"SIGN", data, 0

    def unwrap_winrm(self, _header: bytes, data: bytes) -> bytes:
        return data


def layout(name: str, old: bytes, new: bytes) -> None:
    """A sealed body, changed."""

    def made() -> typing.List[str]:
        # The boundary within the data is data.
        body = sealing.seal(Plain(), b"<a>--Encrypted Boundary--\r\n</a>", "Negotiate")
        assert sealing.unseal(Plain(), body, "Negotiate") == b"<a>--Encrypted Boundary--\r\n</a>"
        assert old in body
        try:
            sealing.unseal(Plain(), body.replace(old, new, 1), "Negotiate")
        except sealing.NotSealed:
            return ["not sealed"]
        return []

    CHECKS.append((name, "not sealed", made))


layout("headers without a tab", b"\tContent-Type", b"Content-Type")
layout("a space in the boundary", b"--Encrypted", b"-- Encrypted")
layout("a wrong Length", b"Length=", b"Length=1")
layout("a wrong signature length", b"\x04\0\0\0", b"\x05\0\0\0")
layout("no end", b"</a>--Encrypted Boundary--\r\n", b"</a>--Encrypted Boundary\r\n")
layout("an empty line more", b"octet-stream\r\n", b"octet-stream\r\n\r\n")


def main() -> int:
    """Runs the checks."""
    failed = 0
    nothing = ("good messages break nothing", None, lambda: _found(_good()))
    for name, rule, made in [nothing, *CHECKS]:
        said: typing.Dict[str, typing.Any] = {"check": name, "passed": True}
        try:
            found = made()
            if (rule is None and found) or (rule is not None and rule not in found):
                said.update(passed=False, why=f"wanted {rule!r}, found {found}")
        except Exception as error:
            said.update(passed=False, why=f"{type(error).__name__}: {error}: {traceback.extract_tb(error.__traceback__)[-1]}")
        failed += not said["passed"]
        print(json.dumps(said))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
