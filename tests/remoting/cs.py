"""Cmdlets on the lab's remote PowerShell of Lync, by pypsrp, a client that others wrote.

    python cs.py --port N --ca PEM --user NAME --password-file FILE <commands.json

Standard input is a JSON list of `[name, {parameter: value, …}]`; the value `"<switch>"` stands for a switch. One line of
JSON per command: `{"output": [{…}], "errors": […], "failed": …}`, each object with its properties as texts and lists, and
its types as `.types`.
"""

import argparse
import json
import sys
import typing
import warnings

warnings.simplefilter("ignore")

from pypsrp.complex_objects import GenericComplexObject  # noqa: E402
from pypsrp.powershell import PowerShell, RunspacePool  # noqa: E402
from pypsrp.wsman import WSMan  # noqa: E402


def plain(value: typing.Any) -> typing.Any:
    """A value as JSON: objects by their text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return str(value)


def shown(value: typing.Any) -> typing.Any:
    """An object with its properties."""
    if not isinstance(value, GenericComplexObject):
        return plain(value)
    properties = {**value.adapted_properties, **value.extended_properties}
    return {".types": value.types, **{name: plain(own) for name, own in properties.items()}}


def call(pool: RunspacePool, name: str, parameters: typing.Dict[str, typing.Any]) -> typing.Dict[str, typing.Any]:
    """Runs one cmdlet."""
    shell = PowerShell(pool)
    shell.add_cmdlet(name)
    for parameter, value in parameters.items():
        shell.add_parameter(parameter, None if value == "<switch>" else value)
    failed = None
    try:
        shell.invoke()
    except Exception as error:  # noqa: BLE001: whatever it is, it is told
        failed = str(error)
    return {
        "output": [shown(one) for one in shell.output],
        "errors": [str(error) for error in shell.streams.error],
        "failed": failed,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", required=True)
    given = parser.parse_args()
    with open(given.password_file, encoding="utf-8") as file:
        password = file.read().strip()
    connection = WSMan(
        "127.0.0.1",
        port=given.port,
        username=given.user,
        password=password,
        path="OcsPowerShell",
        auth="negotiate",
        ssl=True,
        cert_validation=given.ca,
    )
    with connection, RunspacePool(connection) as pool:
        for name, parameters in json.load(sys.stdin):
            print(json.dumps(call(pool, name, parameters)), flush=True)


if __name__ == "__main__":
    main()
