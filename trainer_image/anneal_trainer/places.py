"""Where things lie: the workspace that the stages share, and the claims with models, data and artifacts."""

from dataclasses import dataclass
from pathlib import Path

from anneal_api.artifact import TEMPLATE_FILE
from anneal_api.run import TEMPLATE_DIR, TOKEN_FILE, WORKSPACE, Stage
from anneal_api.termination import TERMINATION_LOG
from anneal_api.uri import CLAIM_ROOT, parse_claim
from anneal_trainer.errors import BadConfig


@dataclass(frozen=True)
class Places:
    """Every path a stage may touch. The defaults are those inside our containers; tests move them."""

    workspace: Path = Path(WORKSPACE)
    claims: Path = Path(CLAIM_ROOT)
    template_dir: Path = Path(TEMPLATE_DIR)
    token_file: Path = Path(TOKEN_FILE)
    termination_log: Path = Path(TERMINATION_LOG)

    def claim(self, uri: str) -> Path:
        """The mounted place of a pvc:// URI."""
        place = parse_claim(uri)
        if place is None:
            raise ValueError(f"{uri} is not a pvc:// URI")
        return self.claims / place.claim / place.path

    def source(self, uri: str) -> Path:
        """The same for something to read. It and the files in it may be links, but none out of the claim: who may
        write there could have this pod read its own token.
        """
        path = self.claim(uri)
        claim = path.relative_to(self.claims).parts[0]
        root = (self.claims / claim).resolve()
        for each in (path, *(path.iterdir() if path.is_dir() else ())):
            if not each.resolve().is_relative_to(root):
                raise BadConfig(f"{uri}: {each.name} leads out of the claim {claim}. Fix: put the file itself there.")
        return path

    def stage(self, name: str) -> Path:
        """Folder of what a stage found out."""
        return self.workspace / "stages" / name

    @property
    def fetched_model(self) -> Path:
        return self.workspace / "model"

    @property
    def data(self) -> Path:
        return self.workspace / "data"

    @property
    def template(self) -> Path:
        return self.workspace / TEMPLATE_FILE

    @property
    def candidate(self) -> Path:
        return self.workspace / "candidate"

    @property
    def environment(self) -> Path:
        """What training ran on, as environment.py writes it."""
        return self.stage(Stage.TRAIN) / "environment.json"

    @property
    def metrics(self) -> Path:
        return self.workspace / "metrics.jsonl"

    def checkpoints(self, uid: str, run_hash: str) -> Path:
        """Checkpoints of one run: another object's or another spec's are never resumed from."""
        return self.workspace / "checkpoints" / f"{uid[:8]}-{run_hash}"
