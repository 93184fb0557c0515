"""Tables that grow are vacuumed in small steps, rows that change often keep room for it. PostgreSQL only."""

from django.db import migrations

from vibex.lib.migrating import OnPostgres

GROWS = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02"
"""A large table is looked at after every fiftieth row that changed, not after every fifth."""
RESET_GROWS = "autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor, autovacuum_analyze_scale_factor"
CHANGES = "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500"
"""Rows that are written again and again find room in their own page, so that no index has to learn of it."""
RESET_CHANGES = "fillfactor, autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold"


GROWING = (
    "decisions_interaction",
    "decisions_decision",
    "decisions_diaryentry",
    "decisions_afterwards",
)
CHANGING = (
    "decisions_cycle",
    "decisions_askbucket",
    "decisions_askplace",
    "decisions_spendday",
)


class Migration(migrations.Migration):
    dependencies = [("decisions", "0005_access_and_figures")]

    # Each takes a lock that neither readers nor writers notice (SHARE UPDATE EXCLUSIVE).
    operations = [
        *(
            OnPostgres(f"ALTER TABLE {table} SET ({GROWS})", f"ALTER TABLE {table} RESET ({RESET_GROWS})")
            for table in GROWING
        ),
        *(
            OnPostgres(f"ALTER TABLE {table} SET ({CHANGES})", f"ALTER TABLE {table} RESET ({RESET_CHANGES})")
            for table in CHANGING
        ),
    ]
