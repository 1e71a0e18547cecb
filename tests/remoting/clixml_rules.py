"""The rules for a client's CLIXML ([MS-PSRP] sections 2.2.2, 2.2.3 and 2.2.5), as a list of what is broken."""

import base64
import binascii
import re
import typing
import xml.etree.ElementTree as ET

Found = typing.Iterator[typing.Tuple[str, dict]]

_INTEGERS = {
    "By": (0, 0xFF),
    "SB": (-0x80, 0x7F),
    "U16": (0, 0xFFFF),
    "I16": (-0x8000, 0x7FFF),
    "C": (0, 0xFFFF),
    "U32": (0, 0xFFFFFFFF),
    "I32": (-0x80000000, 0x7FFFFFFF),
    "U64": (0, (1 << 64) - 1),
    "I64": (-(1 << 63), (1 << 63) - 1),
}
_SHAPES = {
    "B": r"true|false",
    "DT": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?(Z|[+-]\d\d:\d\d)?",
    "TS": r"-?P(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d{1,7})?S)?)?",
    "Sg": r"-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?INF",
    "Db": r"-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?INF",
    "D": r"-?\d{1,29}(\.\d{1,28})?",
    "G": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "Version": r"\d+\.\d+(\.\d+){0,2}",
    "Nil": r"",
}
_STRINGS = ("S", "URI", "SBK", "XD", "ToString", "T")
_BASE64 = ("BA", "SS")
_CONTAINERS = ("LST", "IE", "STK", "QUE", "DCT", "Props", "MS")
_SIMPLE = {*_INTEGERS, *_SHAPES, *_STRINGS, *_BASE64}
_RAW_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufffe\uffff]")

# Fields that are enumerations: an Obj with a type name, ToString and the number, never a plain string or number.
_ENUMS = {
    "INIT_RUNSPACEPOOL": ("PSThreadOptions", "ApartmentState"),
    "CREATE_PIPELINE": (
        "ApartmentState",
        "RemoteStreamOptions",
        "MergeMyResult",
        "MergeToResult",
        "MergePreviousResults",
        "MergeError",
        "MergeWarning",
        "MergeVerbose",
        "MergeDebug",
        "MergeInformation",
    ),
}
# Fields and their element, None for any.
_FIELDS = {
    "SESSION_CAPABILITY": {"protocolversion": "Version", "PSVersion": "Version", "SerializationVersion": "Version"},
    "INIT_RUNSPACEPOOL": {
        "MinRunspaces": "I32",
        "MaxRunspaces": "I32",
        "PSThreadOptions": "Obj",
        "ApartmentState": "Obj",
        "HostInfo": "Obj",
        "ApplicationArguments": None,
    },
    "CREATE_PIPELINE": {
        "NoInput": "B",
        "ApartmentState": "Obj",
        "RemoteStreamOptions": "Obj",
        "AddToHistory": "B",
        "HostInfo": "Obj",
        "PowerShell": "Obj",
        "IsNested": "B",
    },
}
_HOST_FLAGS = ("_isHostNull", "_isHostUINull", "_isHostRawUINull", "_useRunspaceHost")


def check(data: bytes, message: str) -> Found:
    """What is wrong with the data of a message."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        yield "no document type declaration", {}
        return
    try:
        data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        root = ET.fromstring(data)
    except (ET.ParseError, UnicodeDecodeError) as error:
        yield "the data is well-formed XML in UTF-8", {"error": str(error)}
        return
    seen: typing.Tuple[set, set] = (set(), set())
    yield from _element(root, *seen, 0)
    if message in _FIELDS:
        yield from _fields(root, message)
    if message == "SESSION_CAPABILITY":
        yield from _versions(root)
    if message == "CREATE_PIPELINE":
        yield from _pipeline(root)


def _element(element: ET.Element, objects: set, types: set, depth: int) -> Found:
    tag, text = element.tag, element.text or ""
    if depth > 64:
        yield "objects nest at most 64 deep", {}
        return
    name = element.get("N")
    if name is not None and _RAW_CONTROL.search(name):
        yield "control characters in a name are escaped", {"name": name}
    if tag == "Ref":
        if element.get("RefId") not in objects:
            yield "a Ref names an object that began before", {"ref": element.get("RefId")}
    elif tag == "Obj":
        yield from _once(element, objects, "Obj")
        yield from _object(element, objects, types, depth)
    elif tag in _SIMPLE:
        if len(element):
            yield "a primitive has no elements in it", {"element": tag}
        yield from _primitive(tag, text)
    else:
        yield "the element is one of CLIXML", {"element": tag}


def _once(element: ET.Element, seen: set, kind: str) -> Found:
    number = element.get("RefId")
    if number is None or not number.isdecimal():
        yield f"{kind} has a RefId", {"ref": number}
    elif number in seen:
        yield f"a RefId of {kind} is used once in a message", {"ref": number}
    seen.add(number)


def _object(element: ET.Element, objects: set, types: set, depth: int) -> Found:
    if (element.text or "").strip():
        yield "an Obj has no text of its own", {"text": element.text}
    for child in element:
        if child.tag == "TN":
            yield from _once(child, types, "TN")
            if not len(child) or any(name.tag != "T" or not name.text for name in child):
                yield "a TN lists type names", {}
        elif child.tag == "TNRef":
            if child.get("RefId") not in types:
                yield "a TNRef names a TN that came before", {"ref": child.get("RefId")}
        elif child.tag == "DCT":
            for entry in child:
                if entry.tag != "En" or [part.get("N") for part in entry] != ["Key", "Value"]:
                    yield "a dictionary has entries of Key and Value", {"element": entry.tag}
                for part in entry:
                    yield from _element(part, objects, types, depth + 1)
        elif child.tag in _CONTAINERS:
            names = [part.get("N") for part in child]
            if child.tag in ("Props", "MS") and (None in names or len(set(names)) != len(names)):
                yield "properties have names, each once", {"names": names}
            for part in child:
                yield from _element(part, objects, types, depth + 1)
        else:
            yield from _element(child, objects, types, depth + 1)


def _primitive(tag: str, text: str) -> Found:
    found = {"element": tag, "text": text[:80]}
    if tag in _INTEGERS:
        low, high = _INTEGERS[tag]
        if not re.fullmatch(r"-?\d+", text) or not low <= int(text) <= high:
            yield "an integer is in the range of its type", found
    elif tag in _SHAPES:
        if not re.fullmatch(_SHAPES[tag], text):
            yield "a primitive has the shape of its type", found
    elif tag in _BASE64:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            yield "bytes are base64", found
    elif _RAW_CONTROL.search(text):
        # A carriage return would be lost in any XML reader.
        yield "control characters in a string are escaped", found


def _members(element: typing.Optional[ET.Element]) -> typing.Dict[str, ET.Element]:
    if element is None:
        return {}
    return {member.get("N", ""): member for group in ("Props", "MS") for member in element.findall(f"{group}/*")}


def _fields(root: ET.Element, message: str) -> Found:
    members = _members(root)
    for name, element in _FIELDS[message].items():
        if name not in members:
            yield "the message has all its fields", {"field": name}
        elif element is not None and members[name].tag not in (element, "Ref"):
            yield "a field has its type", {"field": name, "found": members[name].tag}
    for element in root.iter():
        if element.get("N") in _ENUMS.get(message, ()):
            yield from _enum(element)
    host = _members(members.get("HostInfo"))
    if host and any(name not in host for name in _HOST_FLAGS):
        yield "HostInfo has its four flags", {"found": sorted(host)}


def _enum(element: ET.Element) -> Found:
    if element.tag == "Ref":
        return
    names = [name.text for name in element.findall("TN/T")]
    typed = element.find("TNRef") is not None or "System.Enum" in names
    if element.tag != "Obj" or not typed or element.find("I32") is None:
        yield "an enumeration is an Obj with its type names and its number", {"field": element.get("N")}
    elif not element.findtext("ToString"):
        yield "an enumeration has its ToString", {"field": element.get("N")}


def _versions(root: ET.Element) -> Found:
    members = _members(root)
    wanted = {"protocolversion": r"2\.[0-3]", "PSVersion": r"2\.0", "SerializationVersion": r"1\.1\.0\.1"}
    for name, shape in wanted.items():
        text = members[name].text or "" if name in members else ""
        if not re.fullmatch(shape, text):
            yield "the versions of SESSION_CAPABILITY are known ones", {"field": name, "found": text}


def _pipeline(root: ET.Element) -> Found:
    pipeline = _members(_members(root).get("PowerShell"))
    commands = pipeline.get("Cmds")
    if commands is None or commands.find("LST") is None or not len(commands.find("LST")):
        yield "a pipeline has a list of commands", {}
        return
    for command in commands.find("LST"):
        members = _members(command)
        for name in ("Cmd", "Args", "IsScript", "UseLocalScope", "MergeMyResult", "MergeToResult", "MergePreviousResults"):
            if name not in members:
                yield "a command has all its fields", {"field": name}
        arguments = members["Args"].find("LST") if "Args" in members else None
        for argument in arguments if arguments is not None else ():
            parts = _members(argument)
            if set(parts) != {"N", "V"}:
                yield "an argument has N and V", {"found": sorted(parts)}
            elif parts["N"].tag not in ("S", "Nil") or re.search(r"^-|:$", parts["N"].text or ""):
                yield "a parameter's name is a string without - and :", {"found": parts["N"].text}
