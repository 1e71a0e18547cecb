"""A terminal as a picture, with its colours:

    tmux capture-pane -e -p | python docs/picture.py 110 'relevo run …' > docs/weekend.svg

The first argument is the terminal's width, the second the title. Needs the package `rich`. The fonts are those of whoever
looks at it: nothing is loaded from anywhere.
"""

import re
import sys

from rich.console import Console
from rich.text import Text


def picture(screen: str, width: int, title: str) -> str:
    with open("/dev/null", "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=width, file=nowhere)
        console.print(Text.from_ansi(screen.rstrip()), soft_wrap=True)
    svg = console.export_svg(title=title, unique_id="relevo")
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    print(picture(sys.stdin.read(), int(sys.argv[1]), sys.argv[2]))
