"""Fetching an hf:// model: one commit, only the files that can be loaded, into the workspace."""

import logging
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from anneal_api.artifact import MODEL_FILES
from anneal_trainer.errors import ModelNotFound, StorageUnavailable
from anneal_trainer.secrecy import keep

log = logging.getLogger(__name__)


def fetch(name: str, revision: str | None, token_file: Path, folder: Path) -> str:
    """Download `owner/name` into the folder and return the commit that `revision` (default: main) stands for."""
    token = keep(token_file.read_text().strip()) if token_file.is_file() else None
    try:
        commit = HfApi(token=token or False).model_info(name, revision=revision or "main").sha
        log.info("fetching hf://%s at commit %s", name, commit)
        snapshot_download(
            name, revision=commit, local_dir=folder, allow_patterns=list(MODEL_FILES), token=token or False
        )
    except GatedRepoError:
        raise ModelNotFound(
            f"hf://{name} is gated and {_access(token)}. Fix: accept its licence on its page and put a token of that "
            "account into the Secret of model.secretRef, key `token`."
        ) from None
    except RevisionNotFoundError:
        raise ModelNotFound(f"hf://{name} has no revision {revision!r}. Fix: correct model.revision.") from None
    except RepositoryNotFoundError:
        raise ModelNotFound(
            f"hf://{name} does not exist, or is private and {_access(token)}. Fix: correct model.uri, or set "
            "model.secretRef."
        ) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError) as error:
        raise StorageUnavailable(
            f"fetching hf://{name} failed: {error}. Fix: check that pods may reach the hub (HF_ENDPOINT, proxy, "
            "network policy); the next attempt goes on where this one stopped."
        ) from error
    return str(commit)


def _access(token: str | None) -> str:
    return "the token in model.secretRef may not read it" if token else "no token was given"
