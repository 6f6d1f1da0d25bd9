"""PURE: a resource in, child manifests out; one file per kind of child. names.py holds every name and label."""
