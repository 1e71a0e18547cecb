"""What a client must keep to, checked independently of psrpcore, which lets most of it pass.

Owns the rules for envelopes, fragments and PSRP messages; the rules for CLIXML are in `clixml_rules.py`.
"""

import re
import struct
import typing
import uuid

import clixml_rules
import envelope

NO_PIPELINE = uuid.UUID(int=0)
# [MS-PSRP] section 2.2.1, the messages that a client may send; True where they belong to a pipeline.
CLIENT_MESSAGES = {
    0x00010002: ("SESSION_CAPABILITY", False),
    0x00010004: ("INIT_RUNSPACEPOOL", False),
    0x00010005: ("PUBLIC_KEY", False),
    0x00010008: ("CONNECT_RUNSPACEPOOL", False),
    0x00021002: ("SET_MAX_RUNSPACES", False),
    0x00021003: ("SET_MIN_RUNSPACES", False),
    0x00021006: ("CREATE_PIPELINE", True),
    0x0002100A: ("GET_COMMAND_METADATA", True),
    0x00021101: ("RUNSPACEPOOL_HOST_RESPONSE", False),
    0x0002100C: ("RESET_RUNSPACE_STATE", False),
    0x00021007: ("GET_AVAILABLE_RUNSPACES", False),
    0x00041002: ("PIPELINE_INPUT", True),
    0x00041003: ("END_OF_PIPELINE_INPUT", True),
    0x00041101: ("PIPELINE_HOST_RESPONSE", True),
}
CAPABILITY, INIT, CREATE_PIPELINE = 0x00010002, 0x00010004, 0x00021006
HOST_RESPONSES = (0x00021101, 0x00041101)
OPENING = (CAPABILITY, INIT, 0x00010008)
_GUID = re.compile(r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$")


def guid(records, what: str, text: str) -> None:
    """A GUID on the wire is written in upper case, without braces."""
    if not _GUID.match(text):
        records.violation(f"{what} is a GUID in upper case", found=text)


class Envelopes:
    """The rules for what stands in an envelope, over all requests of a server."""

    def __init__(self, records, limit: int) -> None:
        self.records = records
        self.limit = limit
        self._messages: typing.Set[str] = set()

    def check(self, asked: envelope.Asked, path: str, size: int) -> None:
        """Looks at one request."""
        bad = self.records.violation
        where = {"action": asked.action}
        if asked.action not in envelope.ACTIONS.values():
            bad("the action is known", **where)
        if not asked.message_id.startswith("uuid:"):
            bad("MessageID begins with uuid:", found=asked.message_id, **where)
        guid(self.records, "MessageID", asked.message_id.removeprefix("uuid:"))
        if asked.message_id in self._messages:
            bad("a MessageID is used once", found=asked.message_id, **where)
        self._messages.add(asked.message_id)
        if asked.reply_to != envelope.ANONYMOUS:
            bad("ReplyTo is the anonymous address", found=asked.reply_to, **where)
        if not asked.to.lower().endswith(path.lower()):
            bad("To is the address of the request", found=asked.to, path=path, **where)
        if asked.timeout is None:
            bad("OperationTimeout is a duration", **where)
        if asked.max_envelope is None or asked.max_envelope < 8192:
            bad("MaxEnvelopeSize is a number from 8192 on", found=asked.max_envelope, **where)
        elif size > min(asked.max_envelope, self.limit):
            bad("a request keeps to MaxEnvelopeSize", size=size, limit=min(asked.max_envelope, self.limit), **where)
        if asked.languages < 2:
            bad("Locale and DataLocale name a language", **where)
        if asked.session:
            guid(self.records, "SessionId", asked.session.removeprefix("uuid:"))
        if asked.unknown:
            bad("what must be understood is known", found=asked.unknown, **where)
        if asked.repeated:
            bad("a header occurs once", found=asked.repeated, **where)
        if asked.action == "Create":
            version, must = asked.options.get("protocolversion", ("", False))
            if not must or not re.match(r"^2\.[0-3]$", version):
                bad("Create has the option protocolversion 2.x with MustComply", found=version, must=must)
            if asked.selectors:
                bad("Create has no selectors", found=asked.selectors)
        elif asked.action not in ("Enumerate", "Get"):
            guid(self.records, "the selector ShellId", asked.shell)

    @staticmethod
    def fits(asked: envelope.Asked, limit: int) -> int:
        """How large an answer may be."""
        return min(asked.max_envelope or limit, limit)


class Pool:
    """The rules for the fragments and messages of one runspace pool."""

    def __init__(self, records, shell: str) -> None:
        self.records = records
        self.shell = shell
        self.opened = False
        self._last_object = 0
        self._open: typing.Dict[int, typing.Tuple[int, bytearray]] = {}
        self._seen: typing.List[int] = []
        self._pipelines: typing.Set[uuid.UUID] = set()

    def reconnect(self) -> None:
        """A new client took the pool over: its counter begins anew, and it shows itself anew."""
        self._last_object = 0
        self._open.clear()
        self._seen.clear()

    def _bad(self, rule: str, **context) -> None:
        self.records.violation(rule, shell=self.shell, **context)

    def payload(self, data: bytes, command: str, stream: str) -> None:
        """Looks at the content of one Stream element, of `Arguments` or of `creationXml`."""
        if not data:
            self._bad("a payload is not empty", stream=stream)
        while data:
            if len(data) < 21:
                self._bad("a fragment is not split over payloads", left=len(data), stream=stream)
                return
            number, part, flags, length = struct.unpack(">QQBI", data[:21])
            blob, data = data[21 : 21 + length], data[21 + length :]
            if len(blob) < length:
                self._bad("a fragment is not split over payloads", declared=length, found=len(blob), stream=stream)
                return
            self._fragment(number, part, flags, blob, command, stream)

    def _fragment(self, number: int, part: int, flags: int, blob: bytes, command: str, stream: str) -> None:
        if flags & ~0x3:
            self._bad("only the bits start and end are set", flags=flags)
        if not blob:
            self._bad("a fragment is not empty", object=number)
        if bool(flags & 1) != (part == 0):
            self._bad("the first fragment, and it alone, has the start bit", object=number, fragment=part)
        if part == 0:
            if number <= self._last_object:
                self._bad("object ids ascend from 1 and are never used again", object=number, last=self._last_object)
            self._last_object = max(self._last_object, number)
            self._open[number] = (0, bytearray())
        if number not in self._open:
            self._bad("a fragment belongs to an object that began", object=number, fragment=part)
            return
        expected, collected = self._open[number]
        if part != expected:
            self._bad("fragment ids ascend by one from 0", object=number, fragment=part, expected=expected)
        collected += blob
        self._open[number] = (part + 1, collected)
        if flags & 2:
            del self._open[number]
            self._message(bytes(collected), command, stream)

    def _message(self, data: bytes, command: str, stream: str) -> None:
        if len(data) < 40:
            self._bad("a message has its 40 bytes of header", length=len(data))
            return
        destination, kind = struct.unpack("<II", data[:8])
        pool, pipeline = uuid.UUID(bytes_le=data[8:24]), uuid.UUID(bytes_le=data[24:40])
        name, of_pipeline = CLIENT_MESSAGES.get(kind, (hex(kind), None))
        if destination != 2:
            self._bad("the destination is the server (2)", message=name, found=destination)
        if of_pipeline is None:
            self._bad("the message is one that a client sends", message=name)
            return
        if pool != uuid.UUID(self.shell):
            self._bad("the RPID is that of the shell", message=name, found=str(pool))
        self._order(kind, name)
        if of_pipeline:
            # An answer of the host may be sent without a CommandId: its PID says whose it is.
            unnamed = kind in HOST_RESPONSES and not command and pipeline in self._pipelines
            if str(pipeline).upper() != command.upper() and not unnamed:
                self._bad("the PID is the CommandId", message=name, pipeline=str(pipeline), command=command)
        elif pipeline != NO_PIPELINE:
            self._bad("a message to the pool has no PID", message=name, pipeline=str(pipeline))
        if (stream == "pr") != (kind in HOST_RESPONSES):
            self._bad("answers of the host, and they alone, go to the stream pr", message=name, stream=stream)
        if kind == CREATE_PIPELINE:
            if pipeline in self._pipelines:
                self._bad("a PID is used once", pipeline=str(pipeline))
            self._pipelines.add(pipeline)
        text = data[40:]
        if name == "END_OF_PIPELINE_INPUT":
            if text:
                self._bad("END_OF_PIPELINE_INPUT is empty", length=len(text))
            return
        for rule, context in clixml_rules.check(text, name):
            self._bad(rule, message=name, **context)

    def _order(self, kind: int, name: str) -> None:
        place = len(self._seen)
        if place == 0 and kind != CAPABILITY:
            self._bad("the first message is SESSION_CAPABILITY", message=name)
        elif place == 1 and kind not in OPENING[1:]:
            self._bad("the second message is INIT_RUNSPACEPOOL", message=name)
        elif place > 1 and kind in OPENING:
            self._bad("a pool is opened once", message=name)
        if kind not in OPENING and not self.opened:
            self._bad("nothing is asked of a pool before the client has heard that it is open", message=name)
        self._seen.append(kind)
