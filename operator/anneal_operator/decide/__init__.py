"""PURE: facts and `now` in, one Plan out. No client, no clock, no kopf."""
