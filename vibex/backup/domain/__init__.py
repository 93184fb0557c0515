"""The rules of backups, pure: how they are named, what a manifest says, which are kept."""
