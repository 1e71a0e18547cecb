"""The other side of the codec's tests: psrpcore, which others wrote.

Reads one request a line, answers with lines and then a line with a single dot. All data travels in Base64.

    echo XML            the value, read and written again
    show XML            type and value of a primitive, as Python sees it; texts as units of UTF-16 in hex
    make NAME           a value that is made here, written
    payload N           size of the fragments from now on
    pool BYTES          a payload for the pool; the answer is what the pool sends: `PIPELINE BYTES`, `-` for the pool
    pipe ID BYTES       a payload for a pipeline, created when it is first named; the answer as above
    client              a client's opening payloads
    invoke              the payloads of a client's pipeline
    feed BYTES          a payload for the client; the answer is what the client understood, a line an event
"""

import base64
import struct
import sys
import uuid
from xml.etree import ElementTree

import psrpcore
from psrpcore import ClientPowerShell, ClientRunspacePool, PSRPPayload, ServerPipeline, ServerRunspacePool, StreamType
from psrpcore.types import (
    ErrorCategory,
    ErrorCategoryInfo,
    ErrorDetails,
    ErrorRecord,
    HostMethodIdentifier,
    InvocationInfo,
    NETException,
    ProgressRecordType,
    PSChar,
    PSCustomObject,
    PSDateTime,
    PSDict,
    PSDuration,
    PSInvocationState,
    PSList,
    PSQueue,
    PSSecureString,
    PSStack,
    PSString,
)
from psrpcore.types import deserialize, serialize


class Cipher:
    """Keeps secure strings as they are: the codec does not look into them."""

    def decrypt(self, value):
        return value

    def encrypt(self, value):
        return value

    def register_key(self, key):
        pass


def read(text):
    return deserialize(ElementTree.fromstring(text), Cipher())


def write(value):
    return ElementTree.tostring(serialize(value, Cipher()), encoding="utf-8", method="xml")


def units(text):
    raw = text.encode("utf-16-be", errors="surrogatepass")
    return "".join("%04x" % unit for unit in struct.unpack(">%dH" % (len(raw) // 2), raw))


def show(value):
    name = type(value).__name__
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, PSChar):
        return f"{name} {int(value)}"
    if isinstance(value, bytes):
        return f"{name} {value.hex()}"
    if isinstance(value, float):
        return f"{name} {float.__repr__(float(value))}"
    if isinstance(value, int):
        return f"{name} {int(value)}"
    if isinstance(value, str):
        return f"{name} {units(value)}"
    return f"{name} {value}"


def make(name):
    if name == "lone surrogates":
        return "a\ud83db\udc00c"
    if name == "escapes":
        return "_x000A_ _X000A_ _x \r\n \u0000 \u0085 😀 _"
    if name == "nested":
        inner = PSDict({"list": [1, PSStack([2, PSChar("x")])], "empty": {}})
        queue = PSQueue()
        queue.put("first")
        queue.put(inner)
        return [queue, inner, None, True]
    if name == "references":
        shared = PSCustomObject(Name="shared\r\n")
        return PSList([shared, PSCustomObject(other=shared), shared])
    if name == "large":
        return ["zeile 😀\r\n" * 4000 for _ in range(20)]
    raise ValueError(name)


class Server:
    def __init__(self):
        self.pool = ServerRunspacePool(application_private_data={"Lab": "psrpcore"})
        self.pipelines = {}
        self.payload = None

    def sent(self):
        while True:
            data = self.pool.data_to_send(self.payload)
            if data is None:
                return
            yield f"{data.pipeline_id or '-'} {base64.b64encode(data.data).decode()}"

    def feed(self, pipeline_id, data):
        self.pool.receive_data(PSRPPayload(data, StreamType.default, pipeline_id))
        while True:
            event = self.pool.next_event()
            if event is None:
                return
            pipeline = self.pipelines.get(event.pipeline_id)
            if isinstance(event, psrpcore.CreatePipelineEvent):
                self.run(pipeline, event.pipeline)
            elif isinstance(event, psrpcore.PipelineHostResponseEvent):
                pipeline.write_output(str(event.error))
                pipeline.write_output(event.error.FullyQualifiedErrorId)
                pipeline.complete()
            elif isinstance(event, psrpcore.PipelineInputEvent):
                pipeline.write_output(event.data)
            elif isinstance(event, psrpcore.EndOfPipelineInputEvent):
                pipeline.complete()

    def pipe(self, pipeline_id, data):
        if pipeline_id not in self.pipelines:
            self.pipelines[pipeline_id] = ServerPipeline(self.pool, pipeline_id)
        self.feed(pipeline_id, data)

    def run(self, pipeline, powershell):
        command = powershell.commands[0]
        text = command.command_text
        pipeline.start()
        if text == "Return-Arguments":
            for command in powershell.commands:
                pipeline.write_output(command.command_text)
                pipeline.write_output(command.is_script)
                for name, value in command.parameters:
                    pipeline.write_output(name)
                    pipeline.write_output(value)
            pipeline.write_output([powershell.no_input, powershell.add_to_history, powershell.is_nested])
            pipeline.write_output(int(powershell.remote_stream_options))
            pipeline.complete()
        elif text == "Say-Everything":
            pipeline.write_output("out\r\n")
            pipeline.write_error(
                NETException(Message="no such user\r\nü"),
                category_info=ErrorCategoryInfo(
                    Category=ErrorCategory.ObjectNotFound,
                    Activity="Move-CsUser",
                    Reason="ManagementException",
                    TargetName="u1",
                    TargetType="String",
                ),
                target_object="u1",
                fully_qualified_error_id="NoUser,Move-CsUser",
                error_details=ErrorDetails(Message="the details", RecommendedAction="look"),
                invocation_info=InvocationInfo(
                    PositionMessage="At line:3 char:7\r\n+ Move-CsUser", ScriptLineNumber=3, MyCommand=None
                ),
                pipeline_iteration_info=[0, 1],
                script_stack_trace="at <ScriptBlock>, <No file>: line 3",
            )
            pipeline.write_warning("careful 😀")
            pipeline.write_verbose("words")
            pipeline.write_debug("bugs")
            pipeline.write_progress("Moving", 7, "3 of 10", current_operation="u3", percent_complete=30)
            pipeline.write_progress("Moving", 7, "done", parent_activity_id=2, record_type=ProgressRecordType.Completed)
            pipeline.write_information("told", "script.ps1", tags=["PSHOST"])
            pipeline.host_call(HostMethodIdentifier.WriteLine2, ["on the screen"])
            pipeline.complete()
        elif text == "Throw":
            error = ErrorRecord(
                Exception=NETException(Message="boom: user not found"),
                CategoryInfo=ErrorCategoryInfo(Category=ErrorCategory.OperationStopped),
                FullyQualifiedErrorId="boom",
            )
            pipeline._change_state(PSInvocationState.Failed, error)
        elif text == "Stop":
            pipeline.stop()
        elif text == "Ask":
            pipeline.host_call(HostMethodIdentifier.ReadLine)
        elif text == "Large":
            for value in make("large"):
                pipeline.write_output(value)
            pipeline.write_output(make("large"))
            pipeline.complete()
        elif text == "Break":
            self.pool.set_broken(
                ErrorRecord(Exception=NETException(Message="the pool broke"), CategoryInfo=ErrorCategoryInfo())
            )
        elif text == "Input":
            pass
        else:
            raise ValueError(text)


class Client:
    def __init__(self):
        self.pool = ClientRunspacePool()
        self.pool.open()

    def sent(self):
        while True:
            data = self.pool.data_to_send(2000)
            if data is None:
                return
            yield f"{data.pipeline_id or '-'} {base64.b64encode(data.data).decode()}"

    def invoke(self):
        pipeline = ClientPowerShell(self.pool)
        pipeline.add_command("Get-Service").add_parameter("Name", "RTC\r\nSRV").add_argument([1, None])
        pipeline.add_statement()
        pipeline.add_script("$input", use_local_scope=True)
        pipeline.start()

    def understood(self, data):
        self.pool.receive_data(PSRPPayload(data, StreamType.default, None))
        while True:
            event = self.pool.next_event()
            if event is None:
                return
            name = type(event).__name__
            record = getattr(event, "record", None)
            if isinstance(event, psrpcore.ErrorRecordEvent):
                yield f"{name} {self.error(record)}"
            elif isinstance(event, (psrpcore.PipelineStateEvent, psrpcore.RunspacePoolStateEvent)):
                yield f"{name} {event.state.name} {self.error(event.reason) if event.reason else '-'}"
            elif isinstance(event, psrpcore.ProgressRecordEvent):
                fields = [record.Activity, record.ActivityId, record.StatusDescription, record.CurrentOperation]
                fields += [record.ParentActivityId, record.PercentComplete, record.SecondsRemaining]
                yield f"{name} {fields}"
            elif isinstance(event, psrpcore.InformationRecordEvent):
                yield f"{name} {record.MessageData} {record.Source} {list(record.Tags)}"
            elif isinstance(event, psrpcore.PipelineHostCallEvent):
                yield f"{name} {event.ci} {event.method_identifier.name} {list(event.method_parameters)}"
            elif record is not None:
                yield f"{name} {record.Message!r}"
            elif isinstance(event, psrpcore.SessionCapabilityEvent):
                yield f"{name} {event.protocol_version} {event.ps_version} {event.serialization_version}"
            else:
                yield f"{name} {event.data!r}"

    @staticmethod
    def error(record):
        category = record.CategoryInfo
        details = record.ErrorDetails.Message if record.ErrorDetails else None
        fields = [record.Exception.Message, record.FullyQualifiedErrorId, record.TargetObject, details]
        fields += [category.Category.name, category.Activity, category.Reason, str(category.PSObject.to_string)]
        fields += [record.ScriptStackTrace, record.Exception.SerializedRemoteInvocationInfo.PositionMessage]
        return repr(fields)


def main():
    server = Server()
    client = None
    for line in sys.stdin:
        verb, *rest = line.split()
        try:
            if verb == "payload":
                server.payload = int(rest[0])
            elif verb == "pool":
                server.feed(None, base64.b64decode(rest[0]))
                print("\n".join(server.sent()))
            elif verb == "pipe":
                server.pipe(uuid.UUID(rest[0]), base64.b64decode(rest[1]))
                print("\n".join(server.sent()))
            elif verb == "client":
                client = Client()
                print("\n".join(client.sent()))
            elif verb == "invoke":
                client.invoke()
                print("\n".join(client.sent()))
            elif verb == "feed":
                print("\n".join(client.understood(base64.b64decode(rest[0]))))
            else:
                data = base64.b64decode(rest[0])
                if verb == "echo":
                    print(base64.b64encode(write(read(data))).decode())
                elif verb == "show":
                    print(show(read(data)))
                elif verb == "make":
                    print(base64.b64encode(write(make(data.decode()))).decode())
        except Exception as error:  # The test shows what went wrong here.
            print(f"error {type(error).__name__} {error}".replace("\n", " "))
        print(".", flush=True)


main()
