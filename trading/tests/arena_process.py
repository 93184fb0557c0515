"""`manage.py arena` as a process with tables of its own, that can be killed. Run by test_arena_command.py."""

from __future__ import annotations

import sys

import django


def main() -> None:
    django.setup()
    from django.core.management import call_command

    from tests.support.tables import tables_made

    tables_made()
    call_command(*sys.argv[1:])


if __name__ == "__main__":
    main()
