"""What must hold at every single write of the operator's, whatever fault is being injected."""

import json
from collections import Counter
from dataclasses import dataclass, field

from anneal_api.conditions import Reason
from tests.rig.api import Object
from tests.rig.proxy import Write

REASONS = {str(reason) for reason in Reason}
STATUS_LIMIT_BYTES = 32 * 1024


@dataclass
class Invariants:
    """Checks each write against those before it; violations are collected, as a hook must not raise into a server."""

    secrets: tuple[str, ...] = ()
    """Byte strings that must never appear in a write (canaries)."""
    violations: list[str] = field(default_factory=list)
    live: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    _statuses: dict[str, Object] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)

    async def check(self, write: Write) -> None:
        """The hook for FaultProxy.after."""
        text = json.dumps(write.body)
        if any(secret in text or secret in write.path for secret in self.secrets):
            self._violated("I7", write, "holds bytes of a Secret")
        if write.status is None or write.status >= 400:
            return
        if write.method == "POST":
            self._created(write)
        elif write.method == "DELETE":
            self._deleted(write)
        elif write.status == 201:  # a server-side apply that made the object
            self._created(write)
        elif write.resource.endswith("/status"):
            self._status(write)

    def _violated(self, rule: str, write: Write, why: str) -> None:
        self.violations.append(f"{rule}: {write} {why}")

    def _created(self, write: Write) -> None:
        if write.resource == "events":
            return
        meta = write.answer.get("metadata", {})
        self.created[f"{write.resource}/{meta.get('name')}"] += 1
        labels = meta.get("labels", {})
        if write.resource != "jobs":
            return
        key = (labels.get("anneal.dev/uid", ""), labels.get("anneal.dev/stage", ""))
        live = self.live.setdefault(key, set())
        live.add(meta["name"])
        if len(live) > 1:
            self._violated("I1", write, f"makes a second live Job for {key}: {sorted(live)}")

    def _deleted(self, write: Write) -> None:
        name = write.path.rsplit("/", 1)[-1]
        self.deleted[f"{write.resource}/{name}"] += 1
        if "uid" not in write.body.get("preconditions", {}):
            self._violated("I2", write, "deletes without a uid precondition")
        if write.resource in ("secrets", "persistentvolumes"):
            self._violated("I2", write, "deletes what is never ours")

    def job_ended(self, uid: str, stage: str, name: str) -> None:
        """Tell that a Job has finished or is gone, so that it no longer counts as live."""
        self.live.get((uid, stage), set()).discard(name)

    def _status(self, write: Write) -> None:
        uid = write.answer.get("metadata", {}).get("uid", "")
        new, old = write.answer.get("status", {}), self._statuses.get(uid, {})
        self._statuses[uid] = new
        if new.get("observedGeneration", 0) < old.get("observedGeneration", 0):
            self._violated("I5", write, "lets observedGeneration fall")
        ended = old.get("phase") in ("Succeeded", "Failed")
        if (
            ended
            and new.get("phase") != old.get("phase")
            and new.get("observedGeneration") == old.get("observedGeneration")
        ):
            self._violated("I6", write, f"leaves {old.get('phase')} for {new.get('phase')} at the same generation")
        self._limits(write, new)
        unknown = {c["reason"] for c in new.get("conditions", [])} - REASONS
        if unknown or not new.get("conditions"):
            self._violated("I9", write, f"has no condition, or reasons outside the enum: {unknown}")
        if len(json.dumps(new)) > STATUS_LIMIT_BYTES:
            self._violated("F43", write, "makes the status larger than 32 KiB")

    def _limits(self, write: Write, status: Object) -> None:
        retry = write.answer.get("spec", {}).get("retry")
        if retry is None:
            return
        stages = status.get("stages", [])
        failures, lost = [s["failures"] for s in stages], sum(s["disruptions"] for s in stages)
        if (most := max(failures, default=0)) > retry["failures"]:
            self._violated("I8", write, f"counts {most} failures of one stage; {retry['failures']} are allowed")
        if lost > retry["disruptions"] and status.get("phase") != "Failed":
            self._violated("I8", write, f"goes on after {lost} disruptions; {retry['disruptions']} are allowed")
