"""The language every part of Anneal shares: resource models, run and serve contracts, artifacts, reasons.

Pure: pydantic and the standard library only. No I/O and no clock, so that the operator, the trainer, the
servers and the CLI can all import it.
"""

GROUP = "anneal.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
