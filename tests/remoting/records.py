"""What the judge writes down, one JSON object a line, each line complete before anything it tells of can be seen.

    violations.jsonl   what a client did that the specifications forbid; a good client leaves it empty
    requests.jsonl     every request, every logon, every command that began
    audit.jsonl        every effect, with the shell and the command that had it
"""

import json
import pathlib
import threading
import time


class Records:
    """The three files, in one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        for name in ("violations", "requests", "audit"):
            self._path(name).touch()

    def _path(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.jsonl"

    def _write(self, name: str, entry: dict) -> None:
        line = json.dumps({"at": round(time.time(), 6), **entry}, default=str) + "\n"
        with self._lock, self._path(name).open("a", encoding="utf-8") as file:
            file.write(line)

    def violation(self, rule: str, **context) -> None:
        """A client broke `rule`. The judge goes on as well as it can: the test looks here afterwards."""
        self._write("violations", {"rule": rule, **context})

    def request(self, action: str, **context) -> None:
        """Something was asked."""
        self._write("requests", {"action": action, **context})

    def effect(self, operation: str, **context) -> None:
        """Something was changed."""
        self._write("audit", {"operation": operation, **context})
