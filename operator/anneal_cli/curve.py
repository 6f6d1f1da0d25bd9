"""The loss curve of a run, from the progress lines in the logs of its train pods."""

from dataclasses import dataclass

from anneal_api.run import Progress, Stage, parse_progress
from anneal_cli.cluster import Cluster
from anneal_cli.errors import CliError
from anneal_cli.kinds import PODS
from anneal_cli.podlogs import read, selector, sources
from anneal_cli.resource import Resource

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """Training and validation loss by step."""

    loss: Points
    eval_loss: Points


def read_curve(cluster: Cluster, job: Resource) -> Curve:
    """The curve; an error when no log holds one."""
    pods = cluster.list(PODS, selector(job)).items
    lines = [line for source in sources(pods, Stage.TRAIN, sidecars=False) for line in read(cluster, source, None)]
    curve = curve_of([progress for line in lines if (progress := parse_progress(line))])
    if not curve.loss:
        raise CliError(f"No log of {job.ref} holds a loss: it is {job.status.phase or 'Pending'}, and "
                       f"{len(lines)} lines of train's log are left.",
                       "Wait for the first step (anneal status -w). Where the pods are gone, the artifact has "
                       "metrics.jsonl.")
    return curve


def curve_of(progress: list[Progress]) -> Curve:
    """A later attempt repeats steps from its checkpoint on; the last value of a step counts."""
    loss = {p.step: p.loss for p in progress if p.loss is not None}
    eval_loss = {p.step: p.eval_loss for p in progress if p.eval_loss is not None}
    return Curve(sorted(loss.items()), sorted(eval_loss.items()))
