"""Accounts, limits, keys and bots from one file: read, checked whole, compared with what is there, and applied whole."""

from trading.services.load_accounts.apply import accounts_load, owner_of
from trading.services.load_accounts.difference import Difference, Item
from trading.services.load_accounts.faults import BadFile, FileFault
from trading.services.load_accounts.form import AccountsFile, file_check
from trading.services.load_accounts.table import Table, accounts_table, bots_table, by_line, table_read
from trading.services.load_accounts.text import file_read, text_read
from trading.services.load_accounts.written import file_written

__all__ = [
    "AccountsFile",
    "BadFile",
    "Difference",
    "FileFault",
    "Item",
    "Table",
    "accounts_load",
    "accounts_table",
    "bots_table",
    "by_line",
    "file_check",
    "file_read",
    "file_written",
    "owner_of",
    "table_read",
    "text_read",
]
