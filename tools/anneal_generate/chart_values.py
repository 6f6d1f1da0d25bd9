"""The chart's values as a model: values.yaml, values.schema.json and the reference page are all made from it."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from anneal_api.model import Document, Name

Labels = dict[str, str]
OWN_LABEL = r"^(app\.kubernetes\.io/(name|instance|component|part-of|version|managed-by)|helm\.sh/chart)$"
MoreLabels = Annotated[Labels, Field(json_schema_extra={"propertyNames": {"not": {"pattern": OWN_LABEL}}})]
"""Labels beside those that the chart writes: selectors need those as they are."""


class Section(Document):
    """A part of the values; the strings below its fields are what the chart says of them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Image(Section):
    """One image. `reference` wins over `digest`, and `digest` over `tag`."""

    repository: str = Field(min_length=1, max_length=255)
    """Registry and path, without tag."""
    tag: str = Field(default="", max_length=128)
    """Tag; empty: the chart's appVersion."""
    digest: str = Field(default="", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Digest, sha256:<64 hex digits>; pins the exact bytes."""
    reference: str = Field(default="", max_length=512)
    """The whole reference, for example "registry.example.com/anneal/operator:1"; replaces the three above."""


class Images(Section):
    """Images of the operator and of the pods it makes. None is published yet: build and push them (docs/install.md)."""

    operator: Image = Image(repository="localhost/anneal/operator")
    """The operator."""
    trainer: Image = Image(repository="localhost/anneal/trainer")
    """prepare, train and publish pods, and the evaluator."""
    vllm: Image = Image(repository="localhost/anneal/vllm")
    """vLLM: serving pods and the engine in evaluate pods."""
    transformers: Image = Image(repository="localhost/anneal/transformers")
    """The transformers engine: serving pods on CPU."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Pull policy of all of them."""
    pull_secrets: list[Name] = []
    """Names of image pull Secrets. They must exist in the operator's namespace and in those it serves."""


class Crds(Section):
    """CustomResourceDefinitions."""

    enabled: bool = True
    """Install and upgrade them with the chart."""
    keep: bool = True
    """Keep them, and with them every FineTuneJob and ModelDeployment, when the chart is uninstalled. Before
    uninstalling with false delete those: what was made for them would stay."""


class ServiceAccount(Section):
    """The operator's identity."""

    create: bool = True
    """Make it."""
    name: str = Field(default="", max_length=63)
    """Its name; empty: the release's name."""
    annotations: Labels = {}
    """Annotations."""


class Rbac(Section):
    """Roles."""

    create: bool = True
    """Make the operator's roles and bindings."""
    aggregate: bool = True
    """Add our kinds to the cluster's view, edit and admin roles."""


class PodDisruptionBudget(Section):
    """Of the operator. Training and serving pods are not concerned: they resume and roll by themselves."""

    enabled: bool = False
    """Make a PodDisruptionBudget."""
    max_unavailable: int = Field(default=1, ge=0, le=1)
    """1: a drain may move the operator, which costs seconds. 0: a drain waits until you move it by hand."""


class Operator(Section):
    """The operator's process."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Level of the JSON logs."""
    workers: int = Field(default=32, ge=1, le=256)
    """Resources worked on at the same time."""
    resync_seconds: int = Field(default=600, ge=30, le=86400)
    """Seconds between two full comparisons with the API server."""
    lease_seconds: int = Field(default=15, ge=5, le=300)
    """Seconds after which another operator may take over from one that fell silent."""
    # No CPU limit: a throttled operator renews its Lease late. The disk holds its log, which the kubelet rotates.
    resources: dict[str, Any] = {
        "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        "limits": {"memory": "512Mi", "ephemeral-storage": "256Mi"}}
    """Compute of the operator's pod."""
    node_selector: Labels = {}
    """Labels that its node must have."""
    tolerations: list[dict[str, Any]] = []
    """Taints that it tolerates."""
    affinity: dict[str, Any] = {}
    """Its affinity."""
    priority_class_name: str = Field(default="", max_length=253)
    """Its PriorityClass."""
    pod_annotations: Labels = {}
    """Annotations of its pod."""
    pod_labels: MoreLabels = {}
    """Labels of its pod."""
    pod_disruption_budget: PodDisruptionBudget = PodDisruptionBudget()
    """Its PodDisruptionBudget."""


class NetworkPolicy(Section):
    """What may reach the operator's pod, and what it may reach."""

    enabled: bool = False
    """Make a NetworkPolicy; something only where the CNI enforces it. In: /metrics. Out: DNS and the API server."""
    metrics_from: list[dict[str, Any]] = []
    """NetworkPolicyPeers that may read /metrics, for example [{namespaceSelector: {}}]. Empty: none. Probes of the
    node's own kubelet pass in any case."""
    api_server_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(default=[443, 6443], min_length=1)
    """TCP ports on which the API server listens; by address it cannot be named, as that differs by cluster."""


class Pods(Section):
    """Pods that the operator makes."""

    service_account: str = Field(default="", max_length=63)
    """ServiceAccount of training and serving pods, in their own namespace; empty: `default`. No token is mounted."""


class PodMonitor(Section):
    """For the Prometheus operator."""

    enabled: bool = False
    """Make a PodMonitor; needs the CRD monitoring.coreos.com/v1."""
    interval: str = Field(default="30s", pattern=r"^[0-9]+(s|m)$")
    """Time between two scrapes."""
    labels: MoreLabels = {}
    """Labels by which a Prometheus selects it."""
    train_pods: bool = True
    """Make one for train pods, too, in all namespaces that are served."""


class Rules(Section):
    """Alerts, for the Prometheus operator."""

    enabled: bool = False
    """Make a PrometheusRule; needs the CRD monitoring.coreos.com/v1 and the metrics of podMonitor."""
    labels: MoreLabels = {}
    """Labels by which a Prometheus selects it."""
    runbooks: str = Field(default="docs/runbooks/", max_length=512)
    """Where the runbooks are; stands before <alert>.md in each alert's runbook_url."""


class Dashboards(Section):
    """Two dashboards, for a Grafana that reads ConfigMaps."""

    enabled: bool = False
    """Make the ConfigMaps."""
    labels: MoreLabels = {"grafana_dashboard": "1"}
    """Labels by which Grafana's sidecar finds them."""
    annotations: Labels = {}
    """Annotations, for example the folder: {grafana_folder: Anneal}."""


class Metrics(Section):
    """Prometheus metrics of the operator at :8080/metrics, and of train pods."""

    service: bool = True
    """Make a Service in front of them."""
    pod_monitor: PodMonitor = PodMonitor()
    """For the Prometheus operator."""
    rules: Rules = Rules()
    """Alerts, for the Prometheus operator."""
    dashboards: Dashboards = Dashboards()
    """Two dashboards, for a Grafana that reads ConfigMaps."""


class ChartValues(Section):
    """Values of the chart `anneal`."""

    images: Images = Images()
    """Images of the operator and of the pods it makes. None is published yet: build and push them (docs/install.md)."""
    common_labels: MoreLabels = {}
    """Labels of everything that the chart makes, CRDs apart."""
    common_annotations: Labels = {}
    """Annotations of everything that the chart makes, CRDs apart."""
    watch_namespaces: Annotated[list[Name], Field(max_length=100)] = []
    """Namespaces to serve. Empty: all, with a ClusterRole. Else only these, with a Role in each and no ClusterRole."""
    crds: Crds = Crds()
    """CustomResourceDefinitions."""
    service_account: ServiceAccount = ServiceAccount()
    """The operator's identity."""
    rbac: Rbac = Rbac()
    """Roles."""
    operator: Operator = Operator()
    """The operator's process."""
    pods: Pods = Pods()
    """Pods that the operator makes."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """What may reach the operator's pod, and what it may reach."""
    metrics: Metrics = Metrics()
    """Prometheus metrics of the operator."""
    global_: dict[str, Any] = Field(default={}, alias="global")
    """Passed by a parent chart; not used."""
