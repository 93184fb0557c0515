"""Cycles that wait for a person are found without reading all cycles."""

from django.db import migrations, models

from vibex.lib.migrating import AddIndexSafely


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("decisions", "0006_vacuumed_in_steps"),
    ]

    operations = [
        AddIndexSafely(
            model_name="cycle",
            index=models.Index(condition=models.Q(("status", "awaiting")), fields=["account"], name="cycle_awaiting"),
        ),
    ]
