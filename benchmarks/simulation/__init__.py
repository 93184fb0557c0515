"""A hundred thousand bots, simulated: how long decisions wait for workers, for a turn of the model and for the database.

Nothing here is measured but the service times that go in, which are those of docs/performance.md. So it is no benchmark, and
its tables stand on another page: `python -m benchmarks.simulation --write` puts them into docs/scaling.md.
"""
