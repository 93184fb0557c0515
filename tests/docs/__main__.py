"""`python -m tests.docs`: list the commands on the pages, and which of them are run by the tests."""

import sys

from tests.docs.told import all_commands, summary

if __name__ == "__main__":
    commands = all_commands()
    for command in commands:
        sys.stdout.write(f"{command.place:40} {command.why_not or 'run':44.44} {command.text.splitlines()[0]}\n")
    sys.stdout.write(f"\n{summary(commands)}\n")
