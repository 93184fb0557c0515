"""What left over a channel within the hour is found without reading all that ever did."""

from django.db import migrations, models

from vibex.lib.migrating import AddIndexSafely


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("accounts", "0006_backup"),
    ]

    operations = [
        AddIndexSafely(
            model_name="alertdelivery",
            index=models.Index(fields=["channel", "state", "sent"], name="alert_delivery_sent"),
        ),
    ]
