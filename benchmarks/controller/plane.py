"""A control plane of its own for each run, which writes down every request of the contender that is measured."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import yaml

from anneal_localcluster.control_plane import ControlPlane
from anneal_localcluster.processes import Command
from tests.rig.api import Api, ApiError, Object
from tests.rig.kinds import install_kinds
from tests.rig.world import claim_of

SYSTEM = "anneal-system"
"""Namespace of the contender: its account and its Lease."""
ACCOUNT = "contender"
USER = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
POISON = "poison"
"""Names that begin so belong to resources whose Jobs an admission policy refuses for ever."""
GARBAGE = {"GOGC": "400", "GOMEMLIMIT": "12GiB"}
"""At Go's default the API server spends a sixth of its time collecting garbage, on cores that all have to share. The
limit is for ten thousand resources, with which it reaches 6 GiB after four minutes at 20 a second."""
BINDS_NOTHING = "--controllers=*,-persistentvolume-binder-controller"
"""It binds one claim after the other, three writes each: on two cores that all share, not 20 in a second. The simulated
node binds them."""


class AuditedPlane(ControlPlane):
    """Its API server logs what the contender asks and when resources are made; nothing of anybody else's."""

    @property
    def audit_log(self) -> Path:
        """One JSON object for each request, in order of their ends."""
        return self.site.folders.state / "audit.log"

    def run(self, commands: list[Command]) -> None:
        lazy = [replace(c, environment={**c.environment, **GARBAGE}) for c in commands]
        super().run([self._as_measured(c) for c in lazy])

    def _as_measured(self, command: Command) -> Command:
        if command.name == "kube-controller-manager":
            return replace(command, argv=[*command.argv, BINDS_NOTHING])
        return self._audited(command) if command.name == "kube-apiserver" else command

    def _audited(self, command: Command) -> Command:
        policy = self.site.folders.state / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(_policy()))
        flags = (f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}", "--audit-log-maxsize=4000")
        return replace(command, argv=[*command.argv, *flags])


def _policy() -> Object:
    ours = [{"group": "anneal.dev", "resources": ["finetunejobs"]}]
    return {
        "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [USER]},
                  {"level": "Metadata", "verbs": ["create"], "resources": ours},
                  {"level": "None"}],
    }


@asynccontextmanager
async def prepared(plane: AuditedPlane, namespaces: tuple[str, ...]) -> AsyncIterator[Api]:
    """Our kinds, the contender's account, the namespaces, and a policy that refuses what is poisoned."""
    async with Api(plane.kubeconfig) as api:
        await install_kinds(api)
        await _served(api)
        for namespace in (SYSTEM, *namespaces):
            await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for namespace in namespaces:
            for claim in ("models", "data"):
                await api.create(claim_of(claim), namespace)
        await _account(api)
        await _refuse_poison(api)
        yield api


async def _served(api: Api) -> None:
    """A kind that is established answers 429 until its storage is there."""
    async with asyncio.timeout(30):
        while True:
            try:
                await api.call("GET", "/apis/anneal.dev/v1alpha1/finetunejobs")
                return
            except ApiError as error:
                if error.status != 429:
                    raise
                await asyncio.sleep(0.2)  # nothing tells when


async def _account(api: Api) -> None:
    await api.call("POST", f"/api/v1/namespaces/{SYSTEM}/serviceaccounts",
                   {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}})
    await api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}]})


async def _refuse_poison(api: Api) -> None:
    base = "/apis/admissionregistration.k8s.io/v1"
    await api.call("POST", f"{base}/validatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POISON}, "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}]},
            "validations": [{"expression": f"!object.metadata.name.startsWith('{POISON}')"}]}})
    await api.call("POST", f"{base}/validatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POISON}, "spec": {"policyName": POISON, "validationActions": ["Deny"]}})


async def contender_kubeconfig(api: Api, plane: AuditedPlane) -> Path:
    """How the contender logs in: with a token, as a pod would, under a name that the audit policy knows."""
    answer = await api.call("POST", f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 36000}})
    ca = base64.b64encode((plane.site.folders.pki / "ca.crt").read_bytes()).decode()
    path = plane.site.folders.state / "contender.kubeconfig"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": plane.url, "certificate-authority-data": ca}}],
        "users": [{"name": "c", "user": {"token": answer["status"]["token"]}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}))
    return path
