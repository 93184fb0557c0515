"""What `/metrics` tells Prometheus. docs/monitoring.md says what is there and what to do about it.

Everything comes from the database (and Redis), so that one process and many tell the same, whichever of them is asked:
`families` names it, `standing` reads how things are, `growing` counts rows that came since, `exposition` writes it down.
"""
