"""The moving parts: Kopf's events fill the store and the queue; workers run one pass after the other."""
