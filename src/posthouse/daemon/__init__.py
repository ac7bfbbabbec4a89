"""What a running server needs around the rooms: checks before the start, logs, systemd, order, chores."""
