"""A Windows host in one file: services and files of `machine.json` in the folder of the server (`server.py --windows`).

    {"name": "GC01", "services": {NAME: {"display", "image", "state", "start", "delayed", "needs", "slow", "ticks"}},
     "files": {PATH: {"text", "modified", "locked"}}, "folders": [PATH], "free": {"D:": 10}, "no_hash": false,
     "mishaps": [{"cmdlet": "Copy-Item", "nth": 2, "do": "error", "text": "no"}]}

`slow` is how many looks a change of state takes. A mishap befalls the `nth` call (1) of a cmdlet, and does one of:

    error        nothing is done, and that is said       error_after   it is done, and an error is said
    hang         waits before it is done                 hang_after    waits after it was done
    set          done, then `path` of `files` is set to `file` (none: removed)

The state is read and written whole for every cmdlet, so that a test may change it and it outlives the server.
"""

import hashlib
import json
import re
import threading
import typing
from xml.sax.saxutils import escape

from psrpcore.types import ErrorCategory, PSCustomObject, PSUInt64, add_note_property

import cmdlets
from running import Running, Terminating, error_record, not_found

_LOCK = threading.RLock()
Parameters = typing.Dict[str, typing.Any]


class Machine:
    """The state, for the length of one cmdlet."""

    def __init__(self, run: Running) -> None:
        self.file = run.shell.records.folder / "machine.json"
        self.state = json.loads(self.file.read_text("utf-8"))

    def write(self) -> None:
        """Replaces the state as a whole."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.state), "utf-8")
        new.replace(self.file)

    def mishap(self, cmdlet: str) -> dict:
        """What befalls this call."""
        for rule in self.state.get("mishaps", []):
            if rule["cmdlet"] == cmdlet and rule.get("nth", 1) > 0:
                rule["nth"] = rule.get("nth", 1) - 1
                self.write()
                if rule["nth"] == 0:
                    return rule
        return {}


def texts(value: typing.Any) -> typing.List[str]:
    """A list of texts, or the only one."""
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def windows(name: str):
    """Makes a function a cmdlet of this host, with its mishaps around it."""

    def register(function):
        @cmdlets.cmdlet(name)
        def cmdlet(run: Running, given: Parameters) -> None:
            with _LOCK:
                rule = Machine(run).mishap(name)
            do = rule.get("do", "")
            if do == "error":
                run.error(problem(rule.get("text", "it did not work"), rule.get("id", "Judge")))
                return
            if do == "hang":
                run.wait(600)
            with _LOCK:
                machine = Machine(run)
                said = function(run, given, machine)
                machine.write()
                if do == "set":
                    machine.state["files"].pop(rule["path"], None)
                    if rule.get("file"):
                        machine.state["files"][rule["path"]] = rule["file"]
                    machine.write()
            for out in said or []:
                out()
            if do == "hang_after":
                run.wait(600)
            if do == "error_after":
                run.error(problem(rule.get("text", "it did not work"), rule.get("id", "Judge")))

        return cmdlet

    return register


def problem(message: str, error_id: str, target: str = "thing"):
    """An error record."""
    return error_record("System.InvalidOperationException", message, ErrorCategory.InvalidOperation, error_id, target, "Judge")


def thing(type_name: str, **properties) -> PSCustomObject:
    """An object with properties."""
    value = PSCustomObject()
    value.PSObject.type_names = [f"Deserialized.{type_name}", "Deserialized.System.Object"]
    for key, item in properties.items():
        add_note_property(value, key, item)
    return value


# ---- Services ----


@windows("Get-WmiObject")
def get_wmi_object(run: Running, given: Parameters, machine: Machine):
    """`-Class Win32_Service`, `Win32_LogicalDisk` or `Win32_OperatingSystem`."""
    name, objects = machine.state["name"], []
    if given["class"] == "Win32_Service":
        for key, service in machine.state["services"].items():
            objects.append(
                thing(
                    "System.Management.ManagementObject#root\\cimv2\\Win32_Service",
                    Name=key,
                    DisplayName=service["display"],
                    State=service["state"],
                    StartMode=service["start"],
                    PathName=service.get("image"),
                    SystemName=name,
                )
            )
            if service.get("ticks"):
                service["ticks"] -= 1
                if not service["ticks"]:
                    service["state"] = {"Stop Pending": "Stopped", "Start Pending": "Running"}[service["state"]]
    elif given["class"] == "Win32_LogicalDisk":
        for drive, free in machine.state.get("free", {}).items():
            objects.append(thing("System.Management.ManagementObject", DeviceID=drive, FreeSpace=PSUInt64(free)))
    elif given["class"] == "Win32_OperatingSystem":
        objects.append(thing("System.Management.ManagementObject", CSName=name, Caption="Windows", Version="6.1.7601"))
    else:
        raise Terminating(problem("Invalid class", "GetWMIManagementException"))
    return [lambda value=value: run.output(value) for value in objects]


def find(machine: Machine, name: str) -> typing.Tuple[str, dict]:
    """A service."""
    for key, service in machine.state["services"].items():
        if key.lower() == name.lower():
            return key, service
    raise Terminating(problem(f"Cannot find any service with service name '{name}'.", "NoServiceFoundForGivenName"))


def dependents(machine: Machine, name: str) -> typing.List[str]:
    """Everything that needs it, directly or not."""
    found: typing.List[str] = []
    for key, service in machine.state["services"].items():
        if name in service.get("needs", []):
            found += [one for one in [key, *dependents(machine, key)] if one not in found]
    return found


@windows("Get-Service")
def get_service(run: Running, given: Parameters, machine: Machine):
    """`-Name`, with `-DependentServices`."""
    name, service = find(machine, str(given["name"]))
    names = dependents(machine, name) if given.get("dependentservices") else [name]
    objects = [thing("System.ServiceProcess.ServiceController", Name=key, Status=machine.state["services"][key]["state"]) for key in names]
    return [lambda value=value: run.output(value) for value in objects]


def change_state(run: Running, given: Parameters, machine: Machine, pending: str, final: str) -> None:
    """Stops or starts."""
    name, service = find(machine, str(given["name"]))
    if "force" in given:
        run.shell.records.violation("no service is forced", service=name)
    if service["state"] == final:
        run.shell.records.violation("only what differs is sent", service=name)
        return
    service["state"], service["ticks"] = (pending, service["slow"]) if service.get("slow") else (final, 0)
    run.effect(final, service=name)


@windows("Stop-Service")
def stop_service(run: Running, given: Parameters, machine: Machine):
    """Stops a service that no running one needs."""
    name, _ = find(machine, str(given["name"]))
    if any(machine.state["services"][key]["state"] != "Stopped" for key in dependents(machine, name)):
        text = f"Cannot stop service '{name} ({name})' because it has dependent services. It can only be stopped if the Force flag is set."
        return [lambda: run.error(problem(text, "ServiceHasDependentServices,Microsoft.PowerShell.Commands.StopServiceCommand"))]
    change_state(run, given, machine, "Stop Pending", "Stopped")
    return []


@windows("Start-Service")
def start_service(run: Running, given: Parameters, machine: Machine):
    """Starts a service that is not disabled and has what it needs."""
    name, service = find(machine, str(given["name"]))
    if service["start"] == "Disabled" or any(machine.state["services"][key]["state"] != "Running" for key in service.get("needs", [])):
        text = f"Service '{name} ({name})' cannot be started due to the following error: Cannot start service {name} on computer '.'."
        return [lambda: run.error(problem(text, "CouldNotStartService,Microsoft.PowerShell.Commands.StartServiceCommand"))]
    change_state(run, given, machine, "Start Pending", "Running")
    return []


@windows("Set-Service")
def set_service(run: Running, given: Parameters, machine: Machine):
    """Sets a start type."""
    name, service = find(machine, str(given["name"]))
    start = {"Automatic": "Auto", "Manual": "Manual", "Disabled": "Disabled"}[given["startuptype"]]
    if service["start"] == start:
        run.shell.records.violation("only what differs is sent", service=name)
    service["start"] = start
    run.effect(start, service=name)
    return []


def service_of_key(machine: Machine, path: str) -> typing.Tuple[str, dict]:
    """The service of a key of the registry."""
    return find(machine, re.fullmatch(r"HKLM:\\SYSTEM\\CurrentControlSet\\Services\\([^\\]+)", path).group(1))


@windows("Get-ItemProperty")
def get_item_property(run: Running, given: Parameters, machine: Machine):
    """The values of a service's key."""
    _, service = service_of_key(machine, str(given["path"]))
    more = {} if service.get("delayed") is None else {"DelayedAutostart": service["delayed"]}
    return [lambda: run.output(thing("System.Management.Automation.PSCustomObject", Start=2, **more))]


@windows("Set-ItemProperty")
def set_item_property(run: Running, given: Parameters, machine: Machine):
    """`DelayedAutostart` of a service's key."""
    name, service = service_of_key(machine, str(given["path"]))
    if (given["name"], given["type"]) != ("DelayedAutostart", "DWord"):
        run.shell.records.violation("a known value of the registry", name=given["name"])
    service["delayed"] = int(given["value"])
    run.effect(f"Delayed{service['delayed']}", service=name)
    return []


# ---- Files ----


def keyed(entries: typing.Iterable[str]) -> typing.Dict[str, str]:
    """Paths by their lower case."""
    return {path.lower(): path for path in entries}


@windows("Test-Path")
def test_path(run: Running, given: Parameters, machine: Machine):
    """`-LiteralPath`, with `-PathType`."""
    path = str(given["literalpath"]).lower()
    folder, file = path in keyed(machine.state["folders"]), path in keyed(machine.state["files"])
    # A drive or a share is there, unless it is away.
    if re.fullmatch(r"[a-z]:\\|\\\\[^\\]+\\[^\\]+", path):
        folder = path not in machine.state.get("away", [])
    answer = {"Container": folder, "Leaf": file}.get(given.get("pathtype"), folder or file)
    return [lambda: run.output(answer)]


def listed(path: str, file: typing.Optional[dict]) -> bytes:
    """A file or a folder as Windows writes it."""
    number, word, kind = (32, "Archive", "FileInfo") if file is not None else (16, "Directory", "DirectoryInfo")
    seconds = file["modified"] if file is not None else 0
    size = f'<I64 N="Length">{len(file["text"])}</I64>' if file is not None else ""
    return (
        f'<Obj RefId="0"><TN RefId="0"><T>Deserialized.System.IO.{kind}</T><T>Deserialized.System.Object</T></TN>'
        f"<ToString>{escape(path)}</ToString><Props>"
        f'<S N="FullName">{escape(path)}</S>{size}'
        f'<DT N="LastWriteTimeUtc">2026-11-27T{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.1234567Z</DT>'
        f'<Obj N="Attributes" RefId="1"><TN RefId="1"><T>System.IO.FileAttributes</T><T>System.Enum</T><T>System.ValueType</T>'
        f"<T>System.Object</T></TN><ToString>{word}</ToString><I32>{number}</I32></Obj></Props>"
        f'<MS><B N="PSIsContainer">{"false" if file is not None else "true"}</B></MS></Obj>'
    ).encode()


@windows("Get-ChildItem")
def get_child_item(run: Running, given: Parameters, machine: Machine):
    """`-LiteralPath`, with `-Recurse`."""
    top = str(given["literalpath"]).lower()
    files, folders = machine.state["files"], machine.state["folders"]
    if top in keyed(files):
        if given.get("recurse"):
            run.shell.records.violation("a file is not listed with -Recurse, which looks for its name everywhere")
        path = keyed(files)[top]
        return [lambda: run.raw(listed(path, files[path]))]
    if top not in keyed(folders):
        return [lambda: run.error(problem(f"Cannot find path '{top}' because it does not exist.", "PathNotFound"))]
    found = []
    for path in [*folders, *files]:
        if path.lower().startswith(top + "\\") and (given.get("recurse") or "\\" not in path[len(top) + 1 :]):
            found.append(listed(path, files.get(path)))
    return [lambda data=data: run.raw(data) for data in found]


@windows("Get-FileHash")
def get_file_hash(run: Running, given: Parameters, machine: Machine):
    """`-LiteralPath`, SHA256."""
    if machine.state.get("no_hash"):
        raise Terminating(not_found("Get-FileHash"))
    out: typing.List[typing.Callable[[], None]] = []
    known = keyed(machine.state["files"])
    for path in texts(given["literalpath"]):
        file = machine.state["files"].get(known.get(path.lower(), ""))
        if file is None or file.get("locked"):
            out.append(lambda path=path: run.error(problem(f"The file '{path}' cannot be read: it is being used by another process.", "FileReadError")))
            continue
        digest = hashlib.sha256(file["text"].encode()).hexdigest().upper()
        data = f'<Obj RefId="0"><MS><S N="Algorithm">SHA256</S><S N="Hash">{digest}</S><S N="Path">{escape(path)}</S></MS></Obj>'.encode()
        out.append(lambda data=data: run.raw(data))
    return out


@windows("New-Item")
def new_item(run: Running, given: Parameters, machine: Machine):
    """`-ItemType Directory -Force`: with everything above it."""
    for path in texts(given["path"]):
        while path.count("\\") >= 1 and path.lower() not in keyed(machine.state["folders"]):
            machine.state["folders"].append(path)
            run.effect("New-Item", path=path)
            path = path.rpartition("\\")[0]
    return []


@windows("Copy-Item")
def copy_item(run: Running, given: Parameters, machine: Machine):
    """`-LiteralPath` files into a folder."""
    files, folder = machine.state["files"], str(given["destination"])
    if folder.lower() not in keyed(machine.state["folders"]):
        run.shell.records.violation("copies go into folders that are there", folder=folder)
    out: typing.List[typing.Callable[[], None]] = []
    paths = texts(given["literalpath"])
    if len(paths) > 100:
        run.shell.records.violation("a batch is at most 100", count=len(paths))
    for path in paths:
        source = files.get(keyed(files).get(path.lower(), ""))
        if source is None or source.get("locked"):
            text = f"The process cannot access the file '{path}' because it is being used by another process."
            out.append(lambda text=text: run.error(problem(text, "CopyFileInfoItemIOError")))
            continue
        target = folder + "\\" + path.rpartition("\\")[2]
        files[keyed(files).get(target.lower(), target)] = {"text": source["text"], "modified": source["modified"]}
    run.effect("Copy-Item", count=len(paths), folder=folder)
    return out


@windows("Remove-Item")
def remove_item(run: Running, given: Parameters, machine: Machine):
    """`-LiteralPath` files and empty folders."""
    files, folders = machine.state["files"], machine.state["folders"]
    for path in texts(given["literalpath"]):
        key = path.lower()
        if any(other.lower().startswith(key + "\\") for other in [*files, *folders]):
            run.shell.records.violation("only empty folders are removed", path=path)
            continue
        run.effect("Remove-Item", path=path)
        if key in keyed(files):
            del files[keyed(files)[key]]
        else:
            folders.remove(keyed(folders)[key])
    return []
