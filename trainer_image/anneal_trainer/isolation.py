"""Does the engine keep the base model and the adapter beside it apart?

A batch holds requests of both. Seen on CPU kernels: the base's tokens went through the adapter, so the base answered
with the tuned model's voice, every score looked fine, and only the answers told. So the base scores a row alone and
again in a crowd with the tuned model; the two must agree.
"""

from concurrent.futures import Executor

from anneal_trainer.engine import Engine
from anneal_trainer.errors import EngineFailed
from anneal_trainer.scoring import likelihood
from anneal_trainer.token_rows import TokenRow

CROWD = 4
"""Pairs of requests at once: enough for one batch to hold both models."""
TOLERANCE = 0.1
"""Nats per token. Another batch size changes sums in 16 bits by a hundredth; another model by whole nats."""


def check_isolation(pool: Executor, base: Engine, tuned: Engine, row: TokenRow) -> None:
    """Raises EngineFailed when the base scores `row` differently while the tuned model is asked too."""

    def mean(engine: Engine) -> float:
        found = likelihood(engine.token_log_probabilities(row.ids), row.mask)
        return found.nats / max(found.tokens, 1)

    alone = mean(base)
    crowd = list(pool.map(mean, [base, tuned] * CROWD))[::2]
    worst = max(crowd, key=lambda value: abs(value - alone))
    if abs(worst - alone) > TOLERANCE:
        raise EngineFailed(
            f"{base.url} mixes the models it serves: {base.model} scores row {row.line} with {alone:.3f} nats per "
            f"token alone and {worst:.3f} while {tuned.model} is asked at the same time. "
            "Fix: use another version of the engine image; this one would serve wrong answers."
        )
