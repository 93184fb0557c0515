"""A test exchange that answers as AsterDEX does, over recorded or simulated markets.

Nothing of Vibex needs it to trade: it is what the real clients are tested against. Start it with
`manage.py exchange_server`, or inside a test with `server.serve_in_thread`.
"""
