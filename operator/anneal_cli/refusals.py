"""What an HTTP status of the API server means for the user, and what to do about it."""

import json

from anneal_api import GROUP
from anneal_cli.errors import CliError, Expired, NotFound, Unavailable
from anneal_cli.kinds import Collection

NOT_INSTALLED = (f"This cluster has no resources of group {GROUP}: Anneal is not installed in it.",
                 "Install the chart: helm upgrade --install anneal charts/anneal -n anneal-system --create-namespace.")


def explain_refusal(status: int, body: str, verb: str, collection: Collection, namespace: str,
                    context: str) -> CliError:
    """The error for a refused request."""
    message = _message(body)
    if status == 401:
        return CliError(f"The API server of context {context} does not accept your credentials.",
                        "Log in again, or choose another --context.")
    if status == 403:
        return _forbidden(verb, collection, namespace, message)
    if status == 404:
        return _missing(collection, body, message)
    if status == 410:
        return Expired(f"The list of {collection.plural} has expired.")
    if status in (408, 429) or status >= 500 or status == 0:
        return Unavailable(f"The API server of context {context} could not {verb} {collection.plural}: {message}.",
                           "Try again in a moment.")
    return CliError(f"The API server refused to {verb} {collection.plural}: {message}.")


def _forbidden(verb: str, collection: Collection, namespace: str, message: str) -> CliError:
    group = collection.api.split("/")[1] if collection.api.startswith("apis/") else ""
    resource = f"{collection.plural}.{group}" if group else collection.plural
    fix = (f"Ask an administrator for the role anneal-view (reads) or anneal-edit (changes), or for {verb} on "
           f"{resource}. Check with: kubectl auth can-i {verb} {resource} -n {namespace}")
    return CliError(f"You may not {verb} {resource} in namespace {namespace}: {message}.", fix)


def _missing(collection: Collection, body: str, message: str) -> CliError:
    # The API server answers an unknown API with plain text, an unknown object with a Status.
    if GROUP in collection.api and not body.startswith("{"):
        return CliError(*NOT_INSTALLED)
    return NotFound(f"{message}.")


def _message(body: str) -> str:
    """The message of a Status document, or the text itself."""
    try:
        text = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        text = body
    return " ".join(text.split())[:600].rstrip(".") or "no reason given"
