"""The commands that the judge knows. Whatever else is asked for is answered as PowerShell answers it."""

import json
import pathlib
import re
import threading
import typing

from psrpcore.types import (
    CommandOrigin,
    ErrorCategory,
    HostMethodIdentifier,
    InvocationInfo,
    ProgressRecordType,
    PSCustomObject,
    add_note_property,
)

import values
from running import Running, Terminating, error_record, not_found

Parameters = typing.Dict[str, typing.Any]
_KNOWN: typing.Dict[str, typing.Tuple[str, typing.Callable]] = {}
_STATE = threading.Lock()


def cmdlet(name: str):
    """Makes a function known under `name`."""

    def register(function):
        _KNOWN[name.lower()] = (name, function)
        return function

    return register


def is_known(name: str) -> bool:
    """Whether there is a command of that name."""
    return name.lower() in _KNOWN


# ---- Values ----


@cmdlet("Echo-Value")
def echo_value(run: Running, given: Parameters) -> None:
    """Writes its parameter back, read and written by psrpcore."""
    run.output(given.get("value"))


@cmdlet("Echo-Input")
def echo_input(run: Running, _given: Parameters) -> None:
    """Writes the input of the pipeline back."""
    run.wait(30, run.input_ended.is_set)
    for value in run.input:
        run.output(value)


@cmdlet("Describe-Value")
def describe_value(run: Running, given: Parameters) -> None:
    """Says in JSON what psrpcore read: `{"type": …, "value": …}`. Judges what a client writes."""
    run.output(json.dumps(values.describe(given.get("value"))))


@cmdlet("New-Value")
def new_value(run: Running, given: Parameters) -> None:
    """Writes a value by its name, as psrpcore writes it. Judges what a client reads. Without a name: all the names."""
    name = given.get("name")
    if name is None:
        for known in values.SAMPLES:
            run.output(known)
    elif name in values.SAMPLES:
        sample = values.SAMPLES[name]
        if isinstance(sample, str):
            run.raw(sample.encode())
        else:
            run.output(sample())
    else:
        raise Terminating(error_record("System.ArgumentException", f"no value {name}", ErrorCategory.InvalidArgument, "New", name))


@cmdlet("Write-Clixml")
def write_clixml(run: Running, given: Parameters) -> None:
    """Sends its text as a message, byte by byte; `-Type` is the message's number."""
    run.raw(str(given.get("text", "")).encode("utf-8", "surrogatepass"), int(given.get("type") or 0x00041004))


@cmdlet("Write-Fragment")
def write_fragment(run: Running, given: Parameters) -> None:
    """Sends a fragment as it is told to."""
    data = given.get("data") or b""
    run.fragment(int(given["object"]), int(given["fragment"]), bytes(data), bool(given.get("end")))


# ---- Streams ----


@cmdlet("Write-Many")
def write_many(run: Running, given: Parameters) -> None:
    """Writes `-Count` strings of `-Size` characters, each beginning with its number."""
    size = int(given.get("size") or 0)
    for number in range(int(given["count"])):
        run.output(f"{number:08}".ljust(size, "x"))


@cmdlet("Write-Endless")
def write_endless(run: Running, given: Parameters) -> None:
    """Writes strings of `-Size` characters until it is stopped."""
    text = "x" * int(given.get("size") or 1024)
    while True:
        run.output(text)


@cmdlet("Write-Streams")
def write_streams(run: Running, _given: Parameters) -> None:
    """Writes one of everything, in a known order."""
    run.output("before")
    run.error(_sample_error("something is wrong"), _position("Write-Streams"))
    run.write(lambda pipeline: pipeline.write_warning("this is a warning"))
    run.write(lambda pipeline: pipeline.write_verbose("this is verbose"))
    run.write(lambda pipeline: pipeline.write_debug("this is debugging"))
    run.write(lambda pipeline: pipeline.write_information("this is information", "Write-Streams", tags=["judge"]))
    for percent, kind in ((0, "Processing"), (40, "Processing"), (100, "Completed")):
        run.write(
            lambda pipeline, percent=percent, kind=kind: pipeline.write_progress(
                "Copying",
                7,
                f"{percent} of 100",
                current_operation="a.txt",
                percent_complete=percent,
                record_type=ProgressRecordType[kind],
                seconds_remaining=100 - percent,
            )
        )
    run.output("after")


def _sample_error(message: str, target: typing.Any = "thing"):
    return error_record(
        "System.InvalidOperationException", message, ErrorCategory.InvalidOperation, "JudgeError,Judge", target, "Judge"
    )


def _position(line: str) -> InvocationInfo:
    return InvocationInfo(
        BoundParameters={},
        CommandOrigin=CommandOrigin.Internal,
        ExpectingInput=False,
        HistoryId=1,
        InvocationName=line.split(" ", 1)[0],
        Line=line,
        MyCommand=None,
        OffsetInLine=5,
        PipelineLength=1,
        PipelinePosition=1,
        PositionMessage=f"At line:3 char:5\n+     {line}\n+     ~~~~~~~~",
        PSCommandPath="",
        PSScriptRoot="",
        ScriptLineNumber=3,
        ScriptName="C:\\scripts\\judge.ps1",
        UnboundArguments=[],
    )


@cmdlet("Write-NonTerminating")
def write_non_terminating(run: Running, given: Parameters) -> None:
    """Writes errors and goes on."""
    for number in range(int(given.get("count") or 1)):
        run.error(_sample_error(str(given.get("message", "wrong")), number), _position("Write-NonTerminating"))
    run.output("went on")


@cmdlet("Throw-Terminating")
def throw_terminating(_run: Running, given: Parameters) -> None:
    """Ends with a terminating error."""
    raise Terminating(_sample_error(str(given.get("message", "ended"))))


# ---- Time ----


@cmdlet("Wait-Until")
def wait_until(run: Running, given: Parameters) -> None:
    """Waits until `-File` exists."""
    file = pathlib.Path(str(given["file"]))
    run.output("waiting")
    run.wait(600, file.exists)
    run.output("seen")


@cmdlet("Start-Slow")
def start_slow(run: Running, given: Parameters) -> None:
    """Takes `-Seconds`; with `-Effect` something is changed at the end, with `-Deaf` it cannot be stopped before that."""
    seconds = float(given.get("seconds") or 1)
    if "deaf" in given:
        # An event that nobody sets: a wait that does not listen.
        threading.Event().wait(seconds)
    else:
        run.wait(seconds)
    if "effect" in given:
        run.effect("Start-Slow", effect=str(given["effect"]))
    run.check()
    run.output("slow")


@cmdlet("Read-Prompt")
def read_prompt(run: Running, given: Parameters) -> None:
    """Asks the client's host for a line."""
    if "prompt" in given:
        run.ask_nothing(HostMethodIdentifier.Write1, [str(given["prompt"])])
    run.output(run.ask(HostMethodIdentifier.ReadLine, []))


@cmdlet("Write-Host")
def write_host(run: Running, given: Parameters) -> None:
    """Writes a line to the client's host; nothing is answered to it."""
    run.ask_nothing(HostMethodIdentifier.WriteLine2, [str(given.get("object", ""))])


# ---- Things with a state ----


class State:
    """What the cmdlets change: in a file, so that it outlives the server."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.file = folder / "services.json"

    def read(self) -> dict:
        """The services by name."""
        return json.loads(self.file.read_text("utf-8"))

    def write(self, services: dict) -> None:
        """Replaces the state as a whole."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(services, indent=1), "utf-8")
        new.replace(self.file)


def service_object(name: str, state: dict) -> PSCustomObject:
    """A service as `Get-Service` writes it."""
    value = PSCustomObject()
    value.PSObject.type_names = ["Deserialized.System.ServiceProcess.ServiceController", "Deserialized.System.Object"]
    value.PSObject.to_string = name
    for key, item in (("Name", name), ("DisplayName", state["display"]), ("Status", state["status"]), ("StartType", state["start"])):
        add_note_property(value, key, item)
    return value


def _service(run: Running, given: Parameters) -> typing.Tuple[State, str, dict]:
    state = State(run.shell.records.folder)
    name = str(given.get("name") or given.get("") or "")
    services = state.read()
    found = next((known for known in services if known.lower() == name.lower()), None)
    if found is None:
        record = error_record(
            "Microsoft.PowerShell.Commands.ServiceCommandException",
            f"Cannot find any service with service name '{name}'.",
            ErrorCategory.ObjectNotFound,
            "NoServiceFoundForGivenName,Microsoft.PowerShell.Commands.GetServiceCommand",
            name,
            "Get-Service",
        )
        if str(given.get("erroraction", "")).lower() == "stop" or given.get("erroraction") == 1:
            raise Terminating(record)
        run.error(record)
        return state, "", services
    return state, found, services


@cmdlet("Get-Service")
def get_service(run: Running, given: Parameters) -> None:
    """One service, or all."""
    if not (given.get("name") or given.get("")):
        for name, service in State(run.shell.records.folder).read().items():
            run.output(service_object(name, service))
        return
    _, name, services = _service(run, given)
    if name:
        run.output(service_object(name, services[name]))


def _change(run: Running, given: Parameters, operation: str, changes: typing.Dict[str, str]) -> None:
    # Stopped while it waits, it has changed nothing.
    run.wait(float(given.get("delay") or 0))
    run.check()
    with _STATE:
        state, name, services = _service(run, given)
        if not name:
            return
        if any(services[name][key] != value for key, value in changes.items()):
            services[name].update(changes)
            state.write(services)
            run.effect(operation, service=name, **changes)
    if "complain" in given:
        run.error(_sample_error(str(given["complain"]), name), _position(operation))
    if "passthru" in given:
        run.output(service_object(name, services[name]))


@cmdlet("Stop-Service")
def stop_service(run: Running, given: Parameters) -> None:
    """Stops a service."""
    _change(run, given, "Stop-Service", {"status": "Stopped"})


@cmdlet("Start-Service")
def start_service(run: Running, given: Parameters) -> None:
    """Starts a service."""
    _change(run, given, "Start-Service", {"status": "Running"})


@cmdlet("Set-Service")
def set_service(run: Running, given: Parameters) -> None:
    """Sets how a service starts."""
    _change(run, given, "Set-Service", {"start": str(given.get("startuptype", "Manual"))})


@cmdlet("Add-Entry")
def add_entry(run: Running, given: Parameters) -> None:
    """Has an effect each time it is called: what counts how often something was done."""
    run.effect("Add-Entry", text=str(given.get("text", "")))
    run.output("added")


# ---- Pipelines ----


def _parameters(run: Running, arguments) -> Parameters:
    given: Parameters = {}
    for name, value in arguments:
        key = (name or "").lower()
        if key in given:
            run.shell.records.violation("a parameter is given once", parameter=name)
        given[key] = value
    return given


def _script(run: Running, text: str, parameters: Parameters) -> None:
    # A script that hands its parameters on to one command: what a script of one line usually is.
    handed_on = re.fullmatch(r"\s*(?:param\([^)]*\)\s*)?([A-Za-z]+-[A-Za-z]+)\s+@PSBoundParameters\s*", text)
    if handed_on:
        known = _KNOWN.get(handed_on.group(1).lower())
        if known is None:
            raise Terminating(not_found(handed_on.group(1)))
        known[1](run, parameters)
        return
    thrown = re.fullmatch(r"\s*throw\s+'((?:[^']|'')*)'\s*", text)
    if thrown:
        message = thrown.group(1).replace("''", "'")
        raise Terminating(
            error_record("System.Management.Automation.RuntimeException", message, ErrorCategory.OperationStopped, message, message)
        )
    run.output(text)


def invoke(run: Running, pipeline) -> None:
    """Runs the commands of a pipeline, one after the other."""
    for command in pipeline.commands:
        name = command.command_text
        run.shell.records.request("Pipeline", shell=run.shell.id, command=run.command, name=name[:200])
        run.check()
        if command.is_script and (run.shell.records.folder / "lync.json").exists():
            words = "The syntax is not supported by this runspace. This can occur if the runspace is in no-language mode."
            kind = "System.Management.Automation.RuntimeException"
            raise Terminating(error_record(kind, words, ErrorCategory.ParserError, "ScriptsNotAllowed", name))
        if command.is_script:
            _script(run, name, _parameters(run, command.parameters))
            continue
        known = _KNOWN.get(name.lower())
        if known is None:
            raise Terminating(not_found(name))
        known[1](run, _parameters(run, command.parameters))


def start(run: Running, pipeline) -> None:
    """Begins a pipeline in a thread of its own."""
    body = lambda running: invoke(running, pipeline)  # noqa: E731
    threading.Thread(target=run.run, args=(body,), daemon=True).start()
