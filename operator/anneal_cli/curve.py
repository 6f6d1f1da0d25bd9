"""The loss curve of a run, from the progress lines in the logs of its train pods."""

from anneal_api.curve import Curve, curve_of
from anneal_api.run import Stage, parse_progress
from anneal_cli.cluster import Cluster
from anneal_cli.errors import CliError
from anneal_cli.kinds import PODS
from anneal_cli.podlogs import read, selector, sources
from anneal_cli.resource import Resource


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
