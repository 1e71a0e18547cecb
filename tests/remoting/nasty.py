"""Misbehaviour on request, told by `control.json` in the folder of the server.

    {"rules": [{"on": "Receive", "nth": 2, "times": 1, "do": "drop", "bytes": 100}], "epoch": 1}

`on` is an action (`Logon` for an answer of the handshake, `ReceivePool` for a Receive of the pool, `*` for any
but a Logon), `nth` the first such answer that is meant (1), `times` how many (1; 0 = all that follow), and `do` one of:

    drop             execute, answer the first `bytes` bytes, close; with `settle` only after all pipelines ended
    close            close without executing
    stall            execute, never answer
    garbage          bytes that are no XML (`plain`: not sealed)
    truncated        the answer without its end, in a good HTTP message
    endless          an answer that does not end
    declared         a Content-Length of 10 GB and a few bytes
    trickle          the answer byte by byte, `pause` seconds apart
    plain            the answer not sealed, where it should be
    bad_seal         a wrong signature;   bad_length  a wrong Length=
    relates_to       a RelatesTo of another request
    repeated         every fragment twice;   reversed  the fragments in reverse order
    done             no output, and the state that the command is done
    foreign          the output said to be that of another command
    stderr           in addition some bytes on the stream `stderr`
    unknown          in addition a message of an unknown type
    fault            a fault with `code` and `text`, nothing is executed;   fault_after  the same after executing
    status           the HTTP status `status` with a text in HTML
    redirect         the HTTP status `status` (302) to `location`
    close_after      answer well, then close; with `header` announced by `Connection: close`
    hold             a Receive ignores OperationTimeout and waits `seconds`
    at_once          a Receive says at once that its time is over
    other_id         a Create gives the shell another id than the one that it was asked for
    unauthorized     401 in the middle of a session
"""

import json
import pathlib
import threading
import typing


class Control:
    """The rules in force. Replacing the file begins all counts anew."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._file = folder / "control.json"
        self._lock = threading.Lock()
        self._text = ""
        self._rules: typing.List[dict] = []
        self._counts: typing.List[int] = []

    def take(self, action: str) -> typing.Optional[dict]:
        """Counts one answer to `action`, and says what is to be done to it."""
        with self._lock:
            self._reload()
            taken = None
            for index, rule in enumerate(self._rules):
                on = rule.get("on", "*")
                if on != action and (on != "*" or action == "Logon"):
                    continue
                self._counts[index] += 1
                first, times = rule.get("nth", 1), rule.get("times", 1)
                meant = self._counts[index] >= first and (times == 0 or self._counts[index] < first + times)
                if meant and taken is None:
                    taken = rule
            return taken

    def _reload(self) -> None:
        try:
            text = self._file.read_text("utf-8")
        except FileNotFoundError:
            text = ""
        if text == self._text:
            return
        self._rules = json.loads(text).get("rules", []) if text.strip() else []
        self._counts = [0] * len(self._rules)
        self._text = text
