"""CRDs as plain manifests and as chart templates."""

from typing import Any

from anneal_api.crd import KINDS, definition
from anneal_generate.text import HEADER, to_yaml, yaml_file

RESOURCE_POLICY = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def files() -> dict[str, str]:
    """manifests/crds and the chart's templates/crds."""
    definitions = {kind.plural: definition(kind) for kind in KINDS}
    plain = {f"manifests/crds/{name}.yaml": yaml_file(item) for name, item in definitions.items()}
    templates = {f"charts/anneal/templates/crds/{name}.yaml": _template(item) for name, item in definitions.items()}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{name}.yaml" for name in definitions],
    }
    return {**plain, **templates, "manifests/crds/kustomization.yaml": yaml_file(kustomization)}


def _template(item: dict[str, Any]) -> str:
    # A template and not the chart's crds/ folder, because Helm never upgrades what is in that.
    text = to_yaml(item).replace("{{", '{{ "{{" }}')
    metadata = f"metadata:\n  name: {item['metadata']['name']}\n"
    assert metadata in text
    return (
        f"{{{{- /* {HEADER} */ -}}}}\n{{{{- if .Values.crds.enabled }}}}\n"
        + text.replace(metadata, metadata + RESOURCE_POLICY)
        + "{{- end }}\n"
    )
