"""The shells of the server: WS-Management's shell with PSRP's runspace pool in it ([MS-PSRP] section 3.2, [MS-WSMV] 3.1.4).

A shell has one lock. Threads of connections and of pipelines change it only under the lock, and tell of every change.
"""

import base64
import binascii
import threading
import time
import typing
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

from psrpcore import (
    CreatePipelineEvent,
    EndOfPipelineInputEvent,
    GetAvailableRunspacesEvent,
    PipelineHostResponseEvent,
    PipelineInputEvent,
    PSRPPayload,
    ResetRunspaceStateEvent,
    ServerRunspacePool,
    SetMaxRunspacesEvent,
    SetMinRunspacesEvent,
    StreamType,
)
from psrpcore.types import PSVersion, RunspacePoolState

import envelope
import strict
from envelope import RSP, Asked, Fault
from running import Queue, Running

STATE = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/"
# As large as those of PowerShell.
FRAGMENT = 32 * 1024
# The type of APPLICATION_PRIVATE_DATA, as it stands in a message.
PRIVATE_DATA = (0x00021009).to_bytes(4, "little")
# How long a stop may take before it is answered nevertheless.
PATIENCE = 10.0


def gone(shell: str) -> Fault:
    """The fault for a shell that is not there."""
    return Fault(
        envelope.SHELL_GONE,
        "The request for the Windows Remote Shell with ShellId "
        f"{shell} failed because the shell was not found on the server. Possible causes are: the specified ShellId is "
        "incorrect or the shell no longer exists on the server. Provide the correct ShellId or create a new shell and "
        "retry the operation.",
    )


class Shell:
    """One shell."""

    def __init__(self, records, asked: Asked, shell: str, user: str, start, limit: int) -> None:
        self.records = records
        self.id = shell
        self.resource = asked.resource
        self.user = user
        self.session = asked.session
        self.start = start
        self.began = time.monotonic()
        self.changed = threading.Condition(threading.RLock())
        self.pool = ServerRunspacePool()
        self.rules = strict.Pool(records, shell)
        self.queue = Queue()
        self.running: typing.Dict[str, Running] = {}
        self.used: typing.Set[str] = set()
        self.deleted = False
        self.connected = True
        self.fragment = min(FRAGMENT, (envelope_room(asked, limit)) - 64)

    # ---- PSRP ----

    def feed(self, data: bytes, command: str, stream: str) -> None:
        """Takes what a client sent."""
        self.rules.payload(data, command, stream)
        kind = StreamType.prompt_response if stream == "pr" else StreamType.default
        try:
            self.pool.receive_data(PSRPPayload(data, kind, uuid.UUID(command) if command else None))
            while (event := self.pool.next_event()) is not None:
                self._event(event)
        except Exception as error:  # Whatever psrpcore raises, it did not understand the client.
            self.records.violation("psrpcore understands", error=f"{type(error).__name__}: {error}", shell=self.id)
            raise Fault(envelope.PSRP_REFUSED, f"The PowerShell plugin failed: {error}") from error
        self.collect()
        self.changed.notify_all()

    def _event(self, event) -> None:
        running = self.running.get(str(event.pipeline_id).upper()) if event.pipeline_id else None
        if isinstance(event, CreatePipelineEvent) and running is not None:
            running.pipeline.start()
            running.started = True
            if event.pipeline.no_input:
                running.input_ended.set()
            self.start(running, event.pipeline)
        elif isinstance(event, PipelineInputEvent) and running is not None:
            running.input.append(event.data)
        elif isinstance(event, EndOfPipelineInputEvent) and running is not None:
            running.input_ended.set()
        elif isinstance(event, PipelineHostResponseEvent) and running is not None:
            running.answers[event.ci] = event
        elif isinstance(event, GetAvailableRunspacesEvent):
            self.pool.runspace_availability_response(event.ci, self.pool.max_runspaces)
        elif isinstance(event, (SetMaxRunspacesEvent, SetMinRunspacesEvent, ResetRunspaceStateEvent)):
            self.pool.runspace_availability_response(event.ci, True)

    def collect(self) -> None:
        """Moves what psrpcore has to send into the queues."""
        while (payload := self.pool.data_to_send(self.fragment)) is not None:
            running = self.running.get(str(payload.pipeline_id).upper()) if payload.pipeline_id else None
            if payload.pipeline_id is None:
                self.queue.put(payload.data)
            elif running is not None:
                running.queue.put(payload.data)

    # ---- WS-Management ----

    def check(self) -> None:
        """Refuses where nothing can be done with the shell."""
        if self.deleted:
            raise gone(self.id)
        if not self.connected:
            raise Fault(envelope.SHELL_DISCONNECTED, "The shell is disconnected. Reconnect to it and retry the operation.")

    def command(self, asked: Asked) -> str:
        """`Command`: begins a pipeline."""
        line = asked.body
        command = (line.get("CommandId") or "") if line is not None else ""
        if not command:
            self.records.violation("Command has a CommandId", shell=self.id)
            command = str(uuid.uuid4()).upper()
        strict.guid(self.records, "CommandId", command)
        command = command.upper()
        if command in self.used:
            self.records.violation("a CommandId is used once", shell=self.id, command=command)
            raise Fault(envelope.ALREADY_EXISTS, f"A command {command} exists in the shell.")
        self.used.add(command)
        texts = [part.text or "" for part in line.findall(f"{{{RSP}}}Arguments")] if line is not None else []
        if len(texts) != 1:
            self.records.violation("Command has one element Arguments", found=len(texts), shell=self.id)
        self.running[command] = Running(self, command)
        self.feed(decode(self.records, "".join(texts)), command, "stdin")
        return f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>"

    def send(self, asked: Asked) -> str:
        """`Send`: more of what a client has to say."""
        streams = asked.body.findall(f"{{{RSP}}}Stream") if asked.body is not None else []
        if not streams:
            self.records.violation("Send has a Stream", shell=self.id)
        for stream in streams:
            command = (stream.get("CommandId") or "").upper()
            if command and command not in self.running:
                raise self._no_command(command)
            name = stream.get("Name", "")
            if name not in ("stdin", "pr"):
                self.records.violation("a stream is stdin or pr", found=name, shell=self.id)
            self.feed(decode(self.records, stream.text or ""), command, name)
        return "<rsp:SendResponse/>"

    def receive(self, asked: Asked, limit: int, patience: typing.Optional[float]) -> typing.Tuple[str, typing.List[bytes]]:
        """`Receive`: waits until there is something, at most as long as the client asked for."""
        wanted = asked.body.find(f"{{{RSP}}}DesiredStream") if asked.body is not None else None
        if wanted is None or (wanted.text or "").strip() != "stdout":
            self.records.violation("Receive desires the stream stdout", shell=self.id)
        command = (wanted.get("CommandId") or "").upper() if wanted is not None else ""
        if command and command not in self.running:
            raise self._no_command(command)
        queue = self.running[command].queue if command else self.queue
        end = time.monotonic() + (patience if patience is not None else asked.timeout or 60.0)
        while not queue.fragments and not (queue.finished and not queue.done_told):
            left = end - time.monotonic()
            if left <= 0:
                raise Fault(
                    envelope.OPERATION_TIMED_OUT,
                    "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.",
                )
            self.changed.wait(left)
            if self.deleted or not self.connected or (command and command not in self.running):
                raise Fault(
                    envelope.OPERATION_ABORTED,
                    "The I/O operation has been aborted because of either a thread exit or an application request.",
                )
        taken = queue.take(envelope_room(asked, limit))
        self.changed.notify_all()
        if not command and self.pool.state == RunspacePoolState.Opened and not queue.fragments:
            self.rules.opened = True
        done = command and queue.finished and not queue.fragments
        queue.done_told = queue.done_told or bool(done)
        return self.received(command, taken, bool(done)), taken

    @staticmethod
    def received(command: str, fragments: typing.List[bytes], done: bool) -> str:
        """The body of the answer to `Receive`."""
        of_command = f' CommandId="{command}"' if command else ""
        streams = "".join(
            f'<rsp:Stream Name="stdout"{of_command}>{base64.b64encode(fragment).decode()}</rsp:Stream>'
            for fragment in fragments
        )
        state = f'<rsp:CommandState{of_command} State="{STATE}{"Done" if done else "Running"}"/>' if command else ""
        return f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>"

    def signal(self, asked: Asked) -> str:
        """`Signal`: stops a pipeline, or forgets it."""
        command = (asked.body.get("CommandId") or "").upper() if asked.body is not None else ""
        code = (asked.body.findtext(f"{{{RSP}}}Code") or "").strip() if asked.body is not None else ""
        running = self.running.get(command)
        if running is None:
            raise self._no_command(command)
        if code not in ("powershell/signal/crtl_c", "powershell/signal/ctrl_c", f"{RSP}/signal/ctrl_c", f"{RSP}/signal/Terminate"):
            self.records.violation("the signal is a known one", found=code, shell=self.id)
            raise Fault(envelope.INVALID_PARAMETER, "The parameter is incorrect.")
        self._stop(running)
        if code.endswith("Terminate"):
            self.running.pop(command, None)
            self.pool.pipeline_table.pop(running.pipeline.pipeline_id, None)
        return "<rsp:SignalResponse/>"

    def delete(self) -> str:
        """`Delete`: ends everything in the shell; answered when it has ended."""
        for running in self.running.values():
            if not running.ended.is_set():
                running.stop()
        for running in list(self.running.values()):
            self._stop(running)
        self.deleted = True
        self.changed.notify_all()
        return ""

    def _stop(self, running: Running) -> None:
        if not running.ended.is_set():
            running.stop()
        end = time.monotonic() + PATIENCE
        while not running.ended.is_set() and time.monotonic() < end:
            self.changed.wait(0.1)

    def _no_command(self, command: str) -> Fault:
        return Fault(envelope.INVALID_PARAMETER, f"The parameter is incorrect: there is no command {command} in the shell.")

    def connect(self, asked: Asked) -> str:
        """`Connect`: another client takes over a disconnected shell ([MS-PSRP] section 3.1.4.10)."""
        command = (asked.body.get("CommandId") or "").upper() if asked.body is not None else ""
        if command:
            # A command of a shell that was taken over: from now on its output is read by this client.
            self.check()
            if command not in self.running:
                raise self._no_command(command)
            return "<rsp:ConnectResponse/>"
        if self.deleted:
            raise gone(self.id)
        if self.connected:
            raise Fault(envelope.CONNECTED_ELSEWHERE, "The shell is connected to another client.")
        version, must = asked.options.get("protocolversion", ("", False))
        if not must or not version.startswith("2."):
            self.records.violation("Connect has the option protocolversion 2.x with MustComply", found=version, must=must)
        content = asked.body.findtext(f"{{{envelope.PWSH}}}connectXml") if asked.body is not None else None
        self.rules.reconnect()
        self.pool.connect()
        self.connected = True
        self.session = asked.session
        # A server shows itself to a new client, too ([MS-PSRP] section 3.1.5.3.15); psrpcore leaves that out.
        self.pool.prepare_message(self.pool.our_capability)
        self.feed(decode(self.records, content or ""), "", "stdin")
        # What the pool is comes with this answer, what the server tells about itself with the next Receive
        # ([MS-PSRP] section 3.2.5.4.29).
        fragments = [one for packed in self.queue.take(1 << 30) for one in single(packed)]
        later = {one[:8] for one in fragments if one[16] & 1 and one[25:29] == PRIVATE_DATA}
        answer = b"".join(one for one in fragments if one[:8] not in later)
        for one in fragments:
            if one[:8] in later:
                self.queue.put(one)
        self.rules.opened = True
        encoded = base64.b64encode(answer).decode()
        return (
            f'<rsp:ConnectResponse><connectResponseXml xmlns="{envelope.PWSH}">{encoded}</connectResponseXml>'
            "</rsp:ConnectResponse>"
        )

    def describe(self) -> str:
        """The shell as it is listed."""
        seconds = int(time.monotonic() - self.began)
        return (
            f'<rsp:Shell xmlns:rsp="{RSP}"><rsp:ShellId>{self.id}</rsp:ShellId><rsp:Name>Session</rsp:Name>'
            f"<rsp:ResourceUri>{escape(self.resource)}</rsp:ResourceUri><rsp:Owner>{escape(self.user)}</rsp:Owner>"
            "<rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:ProcessId>0</rsp:ProcessId><rsp:IdleTimeOut>PT7200.000S</rsp:IdleTimeOut>"
            "<rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>"
            f"<rsp:State>{'Connected' if self.connected else 'Disconnected'}</rsp:State>"
            f"<rsp:ShellRunTime>P0DT0H0M{seconds}S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity>"
            "</rsp:Shell>"
        )


def envelope_room(asked: Asked, limit: int) -> int:
    """How many bytes of fragments an answer may hold."""
    return (strict.Envelopes.fits(asked, limit) - 2048) // 4 * 3


def single(packed: bytes) -> typing.Iterator[bytes]:
    """The fragments of one payload, each for itself."""
    while packed:
        length = 21 + int.from_bytes(packed[17:21], "big")
        yield packed[:length]
        packed = packed[length:]


def decode(records, text: str) -> bytes:
    """Base64 from the wire."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        records.violation("payloads are base64", error=str(error))
        raise Fault(envelope.INVALID_PARAMETER, "The parameter is incorrect.") from error


class Shells:
    """All shells of the server, and what may be asked of them."""

    def __init__(self, records, start, limit: int, old: bool = False) -> None:
        self.records = records
        self.limit = limit
        # As PowerShell 2.0, which knows nothing of leaving and coming back.
        self.old = old
        self._start = start
        self._lock = threading.Lock()
        self._shells: typing.Dict[str, Shell] = {}

    def find(self, asked: Asked) -> Shell:
        """The shell that is meant."""
        with self._lock:
            shell = self._shells.get(asked.shell.upper())
        if shell is None:
            raise gone(asked.shell)
        if asked.action not in ("Get", "Connect") and asked.resource != shell.resource:
            self.records.violation("ResourceURI is that of the shell", found=asked.resource, shell=shell.id)
        return shell

    def listed(self) -> typing.List[Shell]:
        """All shells."""
        with self._lock:
            return list(self._shells.values())

    def settle(self, seconds: float) -> None:
        """Waits until no pipeline runs."""
        end = time.monotonic() + seconds
        for shell in self.listed():
            with shell.changed:
                while any(not one.ended.is_set() for one in shell.running.values()) and time.monotonic() < end:
                    shell.changed.wait(0.1)

    def create(self, asked: Asked, user: str, address: str) -> str:
        """`Create`: a new shell, with the id that the client chose."""
        if not asked.resource.startswith("http://schemas.microsoft.com/powershell/"):
            raise Fault(envelope.INVALID_PARAMETER, f"There is no resource {asked.resource}.")
        body = asked.body if asked.body is not None else ET.Element("none")
        wanted = body.get("ShellId") or ""
        if wanted:
            strict.guid(self.records, "ShellId", wanted)
        if (body.findtext(f"{{{RSP}}}InputStreams"), body.findtext(f"{{{RSP}}}OutputStreams")) != ("stdin pr", "stdout"):
            self.records.violation("a shell has the streams `stdin pr` and `stdout`")
        number = wanted.upper() or str(uuid.uuid4()).upper()
        shell = Shell(self.records, asked, number, user, self._start, self.limit)
        if self.old:
            shell.pool.our_capability.protocolversion = PSVersion("2.1")
        with self._lock:
            if number in self._shells:
                raise Fault(envelope.ALREADY_EXISTS, f"A shell {number} exists.")
            self._shells[number] = shell
        content = body.findtext(f"{{{envelope.PWSH}}}creationXml")
        if content is None:
            self.records.violation("Create has a creationXml", shell=number)
        try:
            with shell.changed:
                shell.feed(decode(self.records, content or ""), "", "stdin")
        except Fault:
            self._forget(shell)
            raise
        reference = (
            f"<x:ResourceCreated><a:Address>{escape(address)}</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{escape(asked.resource)}</w:ResourceURI><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{number}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
        )
        return reference + shell.describe()

    def _forget(self, shell: Shell) -> None:
        with self._lock:
            self._shells.pop(shell.id, None)

    def answer(self, asked: Asked, user: str, address: str, patience: typing.Optional[float]):
        """What is answered, and for a `Receive` the fragments in it."""
        if asked.action == "Create":
            return self.create(asked, user, address), []
        if asked.action == "Enumerate":
            return self._enumerate(asked), []
        shell = self.find(asked)
        with shell.changed:
            if asked.action == "Delete":
                body = shell.delete()
                self._forget(shell)
                return body, []
            if asked.action == "Get":
                return shell.describe(), []
            if asked.action in ("Disconnect", "Reconnect", "Connect"):
                if self.old:
                    raise Fault(envelope.UNSUPPORTED_ACTION, f"The action {asked.action} is not supported.")
                return self._connection(shell, asked), []
            shell.check()
            if asked.action == "Receive":
                return shell.receive(asked, self.limit, patience)
            if asked.action in ("Command", "Send", "Signal"):
                return getattr(shell, asked.action.lower())(asked), []
        raise Fault(envelope.UNSUPPORTED_ACTION, f"The action {asked.action} is not supported.")

    @staticmethod
    def _connection(shell: Shell, asked: Asked) -> str:
        if asked.action == "Disconnect":
            shell.check()
            shell.connected = False
            shell.pool.disconnect()
        elif asked.action == "Reconnect":
            command = (asked.body.get("CommandId") or "").upper() if asked.body is not None else ""
            if command:
                shell.check()
                if command not in shell.running:
                    raise shell._no_command(command)
                return "<rsp:ReconnectResponse/>"
            if asked.session != shell.session:
                raise Fault(envelope.WRONG_SESSION, "The shell was left by another client.")
            if shell.connected:
                raise Fault(envelope.NOT_DISCONNECTED, "The shell is not disconnected.")
            shell.connected = True
            # psrpcore would tell the client that the pool is open, which PowerShell does not do here.
            shell.pool.state = RunspacePoolState.Opened
        else:
            return shell.connect(asked)
        shell.changed.notify_all()
        return f"<rsp:{asked.action}Response/>"

    def _enumerate(self, asked: Asked) -> str:
        items = ""
        if asked.resource.endswith("/shell/Command"):
            wanted = {element.text for element in asked.body.iter(f"{{{envelope.W}}}Selector")} if asked.body is not None else ()
            for shell in self.listed():
                if shell.id in wanted:
                    items += "".join(
                        f"<rsp:Command><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:CommandId>{command}</rsp:CommandId>"
                        "<rsp:State>Running</rsp:State></rsp:Command>"
                        for command in shell.running
                    )
        else:
            items = "".join(shell.describe() for shell in self.listed())
        return (
            "<n:EnumerateResponse><n:EnumerationContext/>"
            f"<w:Items>{items}</w:Items><w:EndOfSequence/></n:EnumerateResponse>"
        )
