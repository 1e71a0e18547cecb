"""Values of every type: by name, to be read by a client; and in words, as psrpcore read them from one."""

import base64
import decimal
import typing
import uuid

from psrpcore.types import (
    PSByte,
    PSByteArray,
    PSChar,
    PSCustomObject,
    PSDateTime,
    PSDecimal,
    PSDict,
    PSDictBase,
    PSDouble,
    PSDuration,
    PSEnumBase,
    PSFlagBase,
    PSGuid,
    PSIEnumerable,
    PSInt,
    PSInt16,
    PSInt64,
    PSList,
    PSObject,
    PSQueue,
    PSQueueBase,
    PSSByte,
    PSScriptBlock,
    PSSecureString,
    PSSingle,
    PSStack,
    PSString,
    PSUInt,
    PSUInt16,
    PSUInt64,
    PSUri,
    PSVersion,
    PSXml,
    add_note_property,
)


def _object() -> PSCustomObject:
    value = PSCustomObject()
    add_note_property(value, "Name", "outer")
    inner = PSCustomObject()
    add_note_property(inner, "Number", PSInt(5))
    # The same object twice: the second time it is a reference.
    add_note_property(value, "Inner", inner)
    add_note_property(value, "Again", inner)
    return value


def _queue() -> PSQueue:
    value = PSQueue()
    for item in ("first", "second"):
        value.put(item)
    return value


# A text is CLIXML as .NET writes it, where psrpcore writes something else (NaN, small decimals, early dates, durations
# whose seconds end in 0, characters that XML has not).
SAMPLES: typing.Dict[str, typing.Union[str, typing.Callable[[], typing.Any]]] = {
    "null": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "string": lambda: PSString("text"),
    "string-empty": lambda: PSString(""),
    "string-lines": lambda: PSString("one\r\ntwo\rthree\nfour\tfive"),
    "string-escape": lambda: PSString("_x000D_ _X000A_ _x005F_ __x0041_ _x"),
    "string-emoji": lambda: PSString("😀 é ß 中"),
    "string-controls": "<S>_x0007__x0000__x001F__x007F__x0085__xFFFE__xFFFF_</S>",
    "string-surrogate": lambda: PSString("high \ud83d low \ude00 end"),
    "string-lower": "<S>one_x000d__x000a_two</S>",
    "string-markup": lambda: PSString("<a b=\"c\">&amp;</a> ' \""),
    "string-spaces": lambda: PSString("  before and after  "),
    "char": lambda: PSChar("Z"),
    "char-surrogate": lambda: PSChar(0xD83D),
    "byte": lambda: PSByte(255),
    "sbyte": lambda: PSSByte(-128),
    "uint16": lambda: PSUInt16(65535),
    "int16": lambda: PSInt16(-32768),
    "uint32": lambda: PSUInt(4294967295),
    "int32": lambda: PSInt(-2147483648),
    "uint64": lambda: PSUInt64(18446744073709551615),
    "int64": lambda: PSInt64(-9223372036854775808),
    "single": lambda: PSSingle(1.5),
    "double": lambda: PSDouble(-2.5e-300),
    "double-infinite": "<Db>INF</Db>",
    "double-infinite-negative": "<Db>-INF</Db>",
    "double-nan": "<Db>NaN</Db>",
    "decimal": lambda: PSDecimal(decimal.Decimal("79228162514264337593543950335")),
    "decimal-fraction": "<D>-0.0000000000000000000000000001</D>",
    "bytes": lambda: PSByteArray(bytes(range(256))),
    "bytes-empty": lambda: PSByteArray(b""),
    "guid": lambda: PSGuid("01234567-89ab-cdef-0123-456789abcdef"),
    "uri": lambda: PSUri("https://example.org/a?b=c&d#e"),
    "version": lambda: PSVersion("1.2.3.4"),
    "version-short": lambda: PSVersion("5.1"),
    "xml": lambda: PSXml("<a>\r\n<b/></a>"),
    "scriptblock": lambda: PSScriptBlock(" $_ -eq 'x' "),
    "datetime": lambda: PSDateTime(2026, 11, 28, 3, 4, 5, 678901, nanosecond=200),
    "datetime-utc": "<DT>2026-11-28T03:04:05Z</DT>",
    "datetime-offset": "<DT>2026-11-28T03:04:05.5+01:00</DT>",
    "datetime-early": "<DT>0001-01-01T00:00:00</DT>",
    "duration": lambda: PSDuration(days=1, hours=2, minutes=3, seconds=4, microseconds=5),
    "duration-negative": "<TS>-PT1M30S</TS>",
    "duration-zero": "<TS>PT0S</TS>",
    "list": lambda: PSList(["a", PSInt(1), None, PSList([True])]),
    "list-empty": lambda: PSList(),
    "stack": lambda: PSStack(["top", "bottom"]),
    "queue": _queue,
    "enumerable": lambda: PSIEnumerable(["a", "b"]),
    "dictionary": lambda: PSDict({"key": PSInt64(5_000_000_000), PSInt(1): PSDict({"inner": None})}),
    "object": _object,
    "enum": (
        '<Obj RefId="0"><TN RefId="0"><T>System.DayOfWeek</T><T>System.Enum</T><T>System.ValueType</T><T>System.Object</T></TN>'
        "<ToString>Saturday</ToString><I32>6</I32></Obj>"
    ),
    "string-with-properties": '<Obj RefId="0"><S>text</S><MS><S N="PSPath">C:\\a</S><I32 N="Length">4</I32></MS></Obj>',
    "securestring": lambda: PSSecureString("s3cret\r\n😀"),
    "large": lambda: PSString("0123456789abcdef" * 65536 + "end"),
}


def _text(value: typing.Any) -> typing.Any:
    """A primitive in words that JSON keeps."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, PSSecureString):
        return value.decrypt()
    if isinstance(value, PSDateTime):
        return value.isoformat() + f" +{value.nanosecond}ns"
    if isinstance(value, PSDuration):
        return f"{value.days}d {value.seconds}s {value.microseconds}us +{value.nanosecond}ns"
    if isinstance(value, (PSChar, int)) and not isinstance(value, str):
        return str(int(value))
    if isinstance(value, uuid.UUID):
        return str(value)
    return str(value)


def describe(value: typing.Any) -> typing.Dict[str, typing.Any]:
    """What psrpcore understood, in words."""
    if value is None:
        return {"type": "null"}
    if isinstance(value, bool):
        return {"type": "System.Boolean", "value": value}
    names = list(getattr(getattr(value, "PSObject", None), "type_names", None) or [type(value).__name__])
    said: typing.Dict[str, typing.Any] = {"type": names[0], "types": names}
    if isinstance(value, PSDictBase):
        said["entries"] = [[describe(key), describe(item)] for key, item in value.items()]
    elif isinstance(value, PSQueueBase):
        said["items"] = [describe(item) for item in list(value.queue)]
    elif isinstance(value, list):
        said["items"] = [describe(item) for item in value]
    elif isinstance(value, (PSEnumBase, PSFlagBase)):
        said["value"] = str(int(value))
    elif isinstance(value, (str, int, float, bytes, decimal.Decimal, uuid.UUID)) or type(value) in (
        PSDateTime,
        PSDuration,
        PSVersion,
        PSSecureString,
    ):
        said["value"] = _text(value)
    if isinstance(value, PSObject):
        properties = [*value.PSObject.adapted_properties, *value.PSObject.extended_properties]
        if properties and "value" not in said:
            said["properties"] = {one.name: describe(one.get_value(value)) for one in properties}
        if value.PSObject.to_string:
            said["to_string"] = value.PSObject.to_string
    return said
