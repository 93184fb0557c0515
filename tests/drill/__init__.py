"""The disaster drill: trade, back up, trade on, lose the database, restore, and find everything again."""
