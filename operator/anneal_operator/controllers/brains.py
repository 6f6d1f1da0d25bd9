"""Which pure functions decide about which kind."""

from functools import partial

from anneal_operator.controllers.reconcile import Brain
from anneal_operator.decide import finetunejob, modeldeployment
from anneal_operator.kube.kinds import FINETUNEJOB, MODELDEPLOYMENT
from anneal_operator.settings import PodSettings


def brains(pods: PodSettings) -> dict[str, Brain]:
    """By kind."""
    return {
        FINETUNEJOB.name: Brain(finetunejob.needs, partial(finetunejob.plan, settings=pods)),
        MODELDEPLOYMENT.name: Brain(modeldeployment.needs, partial(modeldeployment.plan, settings=pods)),
    }
