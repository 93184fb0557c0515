"""Orders that have not ended, and the newest comparison of an account, are found without reading their history."""

from django.db import migrations, models

from vibex.lib.migrating import AddIndexSafely


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("trading", "0006_vacuumed_in_steps"),
    ]

    operations = [
        AddIndexSafely(
            model_name="order",
            index=models.Index(
                condition=models.Q(("state__in", ["denied", "done", "absent"]), _negated=True),
                fields=["account"],
                name="order_working",
            ),
        ),
        AddIndexSafely(
            model_name="reconciliation",
            index=models.Index(fields=["account", "-at", "-id"], name="reconciliation_newest"),
        ),
    ]
