"""The part of Argo CD's ConfigMap that tells it of our kinds, from the Lua files beside it."""

from pathlib import Path

from anneal_generate.text import HEADER, to_yaml

FOLDER = "manifests/argocd"
KINDS = ("FineTuneJob", "ModelDeployment")


def files(root: Path) -> dict[str, str]:
    """One file: a ConfigMap to apply server-side, which adds its keys to those that are there."""
    folder = root / FOLDER
    data: dict[str, str] = {}
    for kind in KINDS:
        data[f"resource.customizations.health.anneal.dev_{kind}"] = (folder / "health.lua").read_text()
        data[f"resource.customizations.actions.anneal.dev_{kind}"] = to_yaml(_actions(folder / kind.lower()))
    metadata = {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}}
    text = to_yaml({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    return {f"{FOLDER}/argocd-cm.yaml": f"# {HEADER}\n{text}"}


def _actions(folder: Path) -> dict[str, object]:
    names = sorted(file.stem for file in folder.glob("*.lua") if file.stem != "discovery")
    return {
        "discovery.lua": (folder / "discovery.lua").read_text(),
        "definitions": [{"name": name, "action.lua": (folder / f"{name}.lua").read_text()} for name in names],
    }
