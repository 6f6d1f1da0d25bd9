"""The Anneal operator. Layers: controllers > kube > decide > desired > anneal_api (import-linter checks them)."""
