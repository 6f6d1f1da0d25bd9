"""A ModelDeployment as a tree: what it serves, which revision, how many pods, and where to send requests."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from anneal_api.conditions import Condition, ConditionType
from anneal_api.modeldeployment import BASE_MODEL_NAME, RevisionStatus
from anneal_cli.resource import Resource, parse_time
from anneal_cli.views.finetunejob import artifact_lines, phase
from anneal_cli.views.text import Symbols, between, duration, join
from anneal_cli.views.trouble import trouble, unseen


def tree(resource: Resource, now: datetime, symbols: Symbols) -> RenderableType:
    """Everything the status tells."""
    status = resource.deployment
    pods = f"  {status.replicas} ready" if status.replicas else ""
    token = resource.seconds_to("firstToken")
    after = f"  first token after {duration(token)}" if token is not None else ""
    root = Tree(Text.assemble(("ModelDeployment ", "bold"), (resource.name, "bold"), "  ", phase(resource, symbols),
                              pods, (after, "dim")), guide_style="dim")
    verified = resource.condition(ConditionType.ARTIFACT_VERIFIED)
    available = resource.condition(ConditionType.AVAILABLE)
    has_begun = available and (available.status == "True" or (verified and verified.status == "True"))
    root.add(_step("artifact", verified, now, symbols))
    root.add(_step("available", available if has_begun else None, now, symbols))
    for label, revision in (("serving", status.stable), ("next", status.next), ("failed", status.failed)):
        if revision:
            root.add(_revision(label, revision))
    return Group(root, *_address(resource), *trouble(resource), *unseen(resource, now))


def _step(label: str, condition: Condition | None, now: datetime, symbols: Symbols) -> Text:
    """One condition as a step: done since, or waiting for how long and why."""
    if condition is None:
        return Text(f"{symbols.pending} {label}", "dim")
    since = between(parse_time(condition.last_transition_time), now)
    if condition.status == "True":
        return Text.assemble((f"{symbols.done} {label:<9}", "green"), f"  for {since}" if since else "")
    return Text.assemble((f"{symbols.running} {label:<9}", "cyan"), f"  {join(condition.reason, since)}")


def _revision(label: str, revision: RevisionStatus) -> Text:
    return Text.assemble(f"  {label:<9}  revision {revision.hash}  ", (revision.artifact.digest[:19], "dim"))


def _address(resource: Resource) -> list[Text]:
    status = resource.deployment
    serving = status.stable or status.next
    lines = [Text(), artifact_lines(serving.artifact)] if serving else []
    if not status.url:
        return lines
    base = f"  (its base model: {BASE_MODEL_NAME})" if serving and serving.artifact.kind == "adapter" else ""
    return [*lines, Text.assemble(("URL       ", "bold"), status.url),
            Text.assemble(("Model     ", "bold"), status.served_name, base)]
