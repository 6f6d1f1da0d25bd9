"""Pure: resources and a moment in, rich renderables out. Tested by snapshots at 80 and 120 columns."""
