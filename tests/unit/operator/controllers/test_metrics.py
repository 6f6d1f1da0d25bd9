"""What the operator counts of itself and of what it writes."""



from anneal_operator.decide.facts import Facts
from anneal_operator.decide.plan import Plan
from tests.unit.operator.controllers.scene import KEY, Scene


class Held:
    """A Lease that is ours."""

    held, seconds_left = True, 12.5


async def test_metrics_count_resources_by_phase(scene: Scene) -> None:
    scene.resource(status={"phase": "Training"})
    scene.metrics.watch(scene.store, scene.queue, Held())
    value = scene.metrics.registry.get_sample_value
    assert value("anneal_resources", {"kind": "FineTuneJob", "phase": "Training"}) == 1
    assert value("anneal_queue_depth") == 1
    assert value("anneal_queue_oldest_seconds") >= 0
    assert value("anneal_lease_held") == 1
    assert value("anneal_lease_seconds_left") == 12.5


async def test_what_a_status_says_for_the_first_time_is_counted_once(scene: Scene) -> None:
    def status(facts: Facts) -> Plan:
        return Plan(status={
            "conditions": [{"type": "Stalled", "status": "True", "reason": "BadData"}],
            "stages": [{"name": "prepare", "state": "Succeeded", "startTime": "2026-01-01T00:00:00Z",
                        "finishTime": "2026-01-01T00:00:40Z"},
                       {"name": "train", "state": "Failed", "failures": 2, "reason": "CudaOutOfMemory"}],
            "timeline": [{"event": "created", "time": "2026-01-01T00:00:00Z"},
                         {"event": "firstStep", "time": "2026-01-01T00:01:30Z"}]})

    scene.decide = status
    scene.resource()
    for _ in range(3):
        await scene.reconciler.handle(KEY)
    value = scene.metrics.registry.get_sample_value
    assert value("anneal_failures_total", {"kind": "FineTuneJob", "reason": "BadData"}) == 1
    assert value("anneal_stage_failures_total", {"stage": "train", "reason": "CudaOutOfMemory"}) == 2
    assert value("anneal_stage_seconds_sum", {"stage": "prepare"}) == 40
    assert value("anneal_stage_seconds_count", {"stage": "prepare"}) == 1
    assert value("anneal_first_step_seconds_sum") == 90
    assert value("anneal_first_step_seconds_count") == 1
    assert value("anneal_first_token_seconds_count") == 0
