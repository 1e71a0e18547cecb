"""One pipeline that runs: what its cmdlets may do, how it is stopped, how it ends."""

import collections
import threading
import time
import typing
import uuid

from psrpcore import ServerPipeline
from psrpcore._payload import PSRPMessage, create_fragment, create_message
from psrpcore.types import (
    ErrorCategory,
    ErrorCategoryInfo,
    ErrorRecord,
    HostMethodIdentifier,
    InvocationInfo,
    NETException,
    PSInvocationState,
    PSRPMessageType,
)
from psrpcore.types._serializer import _serialize_string

# What a pipeline may be ahead of its reader. A slow reader slows the pipeline; nothing grows.
AHEAD = 4 * 1024 * 1024


class Stopped(Exception):
    """The pipeline was asked to stop."""


class Terminating(Exception):
    """A terminating error, with the record that tells of it."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(str(record))
        self.record = record


def exception(type_name: str, message: str, hresult: int = -2146233087) -> NETException:
    """A .NET exception of a named type."""
    value = NETException(Message=message, HResult=hresult)
    base = ["System.Management.Automation.RuntimeException", "System.SystemException"]
    value.PSObject.type_names = [type_name, *[name for name in base if name != type_name], *value.PSTypeNames]
    return value


def error_record(
    type_name: str, message: str, category: ErrorCategory, error_id: str, target: typing.Any = None, activity: str = ""
) -> ErrorRecord:
    """An error record as PowerShell makes it."""
    target_type = {str: "String", int: "Int32"}.get(type(target), "")
    record = ErrorRecord(
        Exception=exception(type_name, message),
        CategoryInfo=ErrorCategoryInfo(
            Category=category,
            Activity=activity,
            Reason=type_name.rsplit(".", 1)[-1],
            TargetName="" if target is None else str(target),
            TargetType=target_type,
        ),
        TargetObject=target,
        FullyQualifiedErrorId=error_id,
    )
    # psrpcore writes it as it is.
    record.PSObject.to_string = _serialize_string(message)
    return record


def not_found(name: str) -> ErrorRecord:
    """What PowerShell says of a command that does not exist."""
    return error_record(
        "System.Management.Automation.CommandNotFoundException",
        f"The term '{name}' is not recognized as the name of a cmdlet, function, script file, or operable program. "
        "Check the spelling of the name, or if a path was included, verify that the path is correct and try again.",
        ErrorCategory.ObjectNotFound,
        "CommandNotFoundException",
        name,
    )


class Queue:
    """Fragments that wait to be received, of the pool or of one pipeline. Guarded by the lock of its shell."""

    def __init__(self) -> None:
        self.fragments: typing.Deque[bytes] = collections.deque()
        self.size = 0
        self.finished = False
        self.done_told = False

    def put(self, fragment: bytes) -> None:
        """Adds one fragment."""
        self.fragments.append(fragment)
        self.size += len(fragment)

    def take(self, room: int) -> typing.List[bytes]:
        """The next fragments, as many as `room` bytes hold; at least one, if there is one."""
        taken: typing.List[bytes] = []
        while self.fragments and (not taken or len(self.fragments[0]) <= room):
            fragment = self.fragments.popleft()
            self.size -= len(fragment)
            room -= len(fragment) + 80
            taken.append(fragment)
        return taken


class Running:
    """One pipeline. Its cmdlets run in a thread of their own and speak through here."""

    def __init__(self, shell, command: str) -> None:
        self.shell = shell
        self.command = command
        self.pipeline = ServerPipeline(shell.pool, uuid.UUID(command))
        self.queue = Queue()
        self.stopping = threading.Event()
        self.ended = threading.Event()
        self.started = False
        self.input: typing.List[typing.Any] = []
        self.input_ended = threading.Event()
        self.answers: typing.Dict[int, typing.Any] = {}

    # ---- For cmdlets ----

    def write(self, act: typing.Callable[[ServerPipeline], None]) -> None:
        """Does something with the pipeline and hands over what it gives to send; waits while the reader is behind."""
        with self.shell.changed:
            # A pipeline that is stopping writes nothing more.
            self.check()
            act(self.pipeline)
            self.shell.collect()
            self.shell.changed.notify_all()
            while self.queue.size > AHEAD and not self.stopping.is_set():
                self.shell.changed.wait(1)
        self.check()

    def check(self) -> None:
        """Ends the cmdlet if the pipeline is to stop."""
        if self.stopping.is_set():
            raise Stopped

    def output(self, value: typing.Any) -> None:
        """Writes to the output."""
        if value is None:
            # psrpcore would send a message without data.
            self.raw(b"<Nil />")
            return
        self.write(lambda pipeline: pipeline.write_output(value))

    def error(self, record: ErrorRecord, position: typing.Optional[InvocationInfo] = None) -> None:
        """Writes a non-terminating error."""
        if position is not None:
            record.InvocationInfo = position
            record.PipelineIterationInfo = [0, 1]
            record.ScriptStackTrace = f"at <ScriptBlock>, {position.ScriptName}: line {position.ScriptLineNumber}"
            record.serialize_extended_info = True
        self.write(lambda pipeline: pipeline.prepare_message(record, message_type=PSRPMessageType.ErrorRecord))

    def raw(self, data: bytes, kind: int = int(PSRPMessageType.PipelineOutput)) -> None:
        """Sends a message whose bytes are the caller's."""
        pool = self.shell.pool

        def act(pipeline: ServerPipeline) -> None:
            body = create_message(False, PSRPMessageType.PipelineOutput, data, pool.runspace_pool_id, pipeline.pipeline_id)
            body = body[:4] + kind.to_bytes(4, "little") + body[8:]
            # psrpcore only passes it on.
            message = PSRPMessage(
                PSRPMessageType.PipelineOutput,
                bytearray(body),
                pool.runspace_pool_id,
                pipeline.pipeline_id,
                pool._fragment_counter,
            )
            pool._send_buffer.append(message)

        self.write(act)

    def fragment(self, number: int, part: int, data: bytes, end: bool) -> None:
        """Sends one fragment as it is given."""
        with self.shell.changed:
            self.queue.put(create_fragment(number, part, data, end))
            self.shell.changed.notify_all()

    def wait(self, seconds: float, condition: typing.Callable[[], bool] = lambda: False) -> None:
        """Waits for a time or a condition, or for the stop."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            if self.stopping.wait(min(0.02, max(0.0, end - time.monotonic()))):
                raise Stopped

    def ask(self, method: HostMethodIdentifier, parameters: typing.List[typing.Any]) -> typing.Any:
        """Calls the host of the client, and waits for its answer."""
        calls: typing.List[int] = []
        self.write(lambda pipeline: calls.append(pipeline.host_call(method, parameters)))
        with self.shell.changed:
            while calls[0] not in self.answers:
                self.shell.changed.wait(1)
                self.check()
            event = self.answers.pop(calls[0])
        if event.error is not None:
            raise Terminating(event.error)
        return event.result

    def ask_nothing(self, method: HostMethodIdentifier, parameters: typing.List[typing.Any]) -> None:
        """Calls a method of the client's host that answers nothing."""
        self.write(lambda pipeline: pipeline.host_call(method, parameters))

    def effect(self, operation: str, **context) -> None:
        """Records that something was changed."""
        self.shell.records.effect(operation, shell=self.shell.id, command=self.command, **context)

    # ---- For the shell ----

    def run(self, body: typing.Callable[["Running"], None]) -> None:
        """Runs `body` to its end, in the thread of the pipeline."""
        state, record = PSInvocationState.Completed, None
        try:
            body(self)
        except Stopped:
            state = PSInvocationState.Stopped
        except Terminating as error:
            state, record = PSInvocationState.Failed, error.record
        except Exception as error:  # A defect of the judge must not look like patience.
            self.shell.records.violation("the judge has no defects", error=f"{type(error).__name__}: {error}")
            state = PSInvocationState.Failed
            record = error_record("System.Exception", str(error), ErrorCategory.NotSpecified, "Defect")
        with self.shell.changed:
            if self.stopping.is_set():
                state = PSInvocationState.Stopped
            if state == PSInvocationState.Stopped:
                self.pipeline.stop()
            elif state == PSInvocationState.Failed:
                self.pipeline._change_state(state, error=record)
            else:
                self.pipeline.complete()
            self.shell.collect()
            self.queue.finished = True
            self.ended.set()
            self.shell.records.request("PipelineEnded", shell=self.shell.id, command=self.command, state=state.name)
            self.shell.changed.notify_all()

    def stop(self) -> None:
        """Asks the pipeline to stop."""
        with self.shell.changed:
            if not self.started:
                # Its first message never became whole: nothing runs that could be stopped.
                self.queue.finished = True
                self.ended.set()
            if not self.ended.is_set():
                self.pipeline.begin_stop()
            self.stopping.set()
            self.shell.changed.notify_all()
