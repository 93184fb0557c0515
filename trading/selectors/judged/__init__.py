"""What the figures of an account, a bot or a model are worth: everything beside what anybody could have done.

`subject` says who is judged, `lived` reads the days, `closed` the trades, `figures` measures them, `beside` holds them
against baselines, `trials` and `repeats` count what else was tried, `known` says what a model could have known, `funnel` where
decisions ended, `drawn` makes charts. Each part is asked for by itself and costs few queries.
"""
