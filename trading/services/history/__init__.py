"""A large history that never happened, for measuring: candles, and accounts whose books agree to the last digit.

`make.history_make` is the door; `manage.py make_history` the command before it.
"""
