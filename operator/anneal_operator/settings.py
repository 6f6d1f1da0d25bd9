"""The operator's settings, read from the environment once at start. The chart is the only one who sets them."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """A setting is missing or unusable; the message names the variable."""


@dataclass(frozen=True)
class PodSettings:
    """What the pods that we make are made of; all that the pure layers need to know."""

    trainer_image: str
    vllm_image: str
    transformers_image: str = ""
    """Empty where the operator is newer than the chart that installed it."""
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    """Service account of training and serving pods; empty: the namespace's default. No token is mounted either way."""

    def engine_image(self, engine: str) -> str:
        """The image that holds an engine and anneal_server; empty when the chart gave none."""
        return {"vllm": self.vllm_image, "transformers": self.transformers_image}[engine]


@dataclass(frozen=True)
class Settings:
    """Everything that is decided at installation."""

    pods: PodSettings
    namespace: str
    """Namespace of the operator itself: its Lease lives there."""
    identity: str
    """Holder of the Lease: the uid of the operator's pod."""
    watch_namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty: all (needs ClusterRole)."""
    workers: int = 32
    resync_seconds: int = 600
    lease_seconds: int = 15
    http_port: int = 8080
    """/metrics, /healthz and /readyz."""
    log_level: str = "INFO"


def from_environment(env: Mapping[str, str]) -> Settings:
    """Build the settings. Raises SettingsError that names the first missing or unusable variable."""

    def need(name: str) -> str:
        if value := env.get(name, ""):
            return value
        raise SettingsError(f"{name} is not set; the chart sets it in the operator's Deployment")

    def number(name: str, default: int) -> int:
        text = env.get(name, str(default))
        if not text.isdigit() or int(text) == 0:
            raise SettingsError(f"{name} is {text!r}; it must be a whole number above 0")
        return int(text)

    def words(name: str) -> tuple[str, ...]:
        return tuple(word for word in env.get(name, "").replace(",", " ").split() if word)

    return Settings(
        pods=PodSettings(
            trainer_image=need("ANNEAL_TRAINER_IMAGE"),
            vllm_image=need("ANNEAL_VLLM_IMAGE"),
            transformers_image=env.get("ANNEAL_TRANSFORMERS_IMAGE", ""),
            image_pull_policy=env.get("ANNEAL_IMAGE_PULL_POLICY", "IfNotPresent"),
            image_pull_secrets=words("ANNEAL_IMAGE_PULL_SECRETS"),
            service_account=env.get("ANNEAL_POD_SERVICE_ACCOUNT", ""),
        ),
        namespace=need("ANNEAL_NAMESPACE"),
        identity=need("ANNEAL_POD_UID"),
        watch_namespaces=words("ANNEAL_WATCH_NAMESPACES"),
        workers=number("ANNEAL_WORKERS", 32),
        resync_seconds=number("ANNEAL_RESYNC_SECONDS", 600),
        lease_seconds=number("ANNEAL_LEASE_SECONDS", 15),
        http_port=number("ANNEAL_HTTP_PORT", 8080),
        log_level=env.get("ANNEAL_LOG_LEVEL", "INFO"),
    )
