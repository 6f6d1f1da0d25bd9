"""`anneal init`: a first FineTuneJob and ModelDeployment to start from, checked before they are printed."""

import argparse
import re
from typing import Any

import yaml
from pydantic import ValidationError

from anneal_api import API_VERSION
from anneal_api.crd import MAX_NAME
from anneal_api.finetunejob import KIND as JOB
from anneal_api.finetunejob import FineTuneJobSpec
from anneal_api.modeldeployment import KIND as DEPLOYMENT
from anneal_api.modeldeployment import ModelDeploymentSpec
from anneal_cli.errors import OK, USAGE, CliError
from anneal_cli.session import Session

HELP = "Print a FineTuneJob and a ModelDeployment to start from."
EXAMPLE = ("Example: anneal init support --model pvc://models/smollm2 --dataset pvc://data/train.jsonl "
           "--output pvc://models/support > support.yaml")
EPILOG = f"Asks for what is missing, on a terminal. {EXAMPLE}."
QUESTIONS = {
    "model": "Base model (pvc://CLAIM/FOLDER or hf://OWNER/NAME)",
    "dataset": "Training rows (pvc://CLAIM/FILE.jsonl)",
    "output": "Where the tuned model goes (pvc://CLAIM/FOLDER)",
}
HEADER = """\
# Fine-tunes {model} on {dataset} and serves the result as {name}.
# kubectl explain ftj.spec and kubectl explain mdep.spec describe every field; those left out have defaults.
# Follow it with: anneal status {name} -w
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of both resources")
    for name, text in QUESTIONS.items():
        parser.add_argument(f"--{name}", metavar="URI", help=text)
    parser.add_argument("--prompts", metavar="URI", help="checkable prompts for base and tuned (pvc://CLAIM/FILE.jsonl)")
    parser.add_argument("--method", choices=("lora", "full"), default="lora", help="default: lora")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="passes over the rows (default 3)")
    parser.add_argument("--gpus", type=int, default=0, metavar="N", help="GPUs per pod; 0 runs on CPU (default 0)")
    parser.add_argument("--cpu", default="2", help="CPU cores per pod (default 2)")
    parser.add_argument("--memory", default="8Gi", help="memory per pod (default 8Gi)")


def run(args: argparse.Namespace, session: Session) -> int:
    """Check what was asked for and print both documents."""
    _ask(args, session)
    _check_name(args.name)
    job, deployment = _specs(args)
    documents = [_document(JOB, args.name, job), _document(DEPLOYMENT, args.name, deployment)]
    session.out.file.write(HEADER.format(name=args.name, model=args.model, dataset=args.dataset))
    session.out.file.write(yaml.safe_dump_all(documents, sort_keys=False))
    return OK


def _ask(args: argparse.Namespace, session: Session) -> None:
    missing = [name for name in QUESTIONS if not getattr(args, name)]
    if missing and not session.interactive:
        raise CliError(f"Missing: {', '.join(f'--{name}' for name in missing)}.", EXAMPLE, USAGE)
    for name in missing:
        setattr(args, name, session.notes.input(f"{QUESTIONS[name]}: ", markup=False).strip())


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
        raise CliError(f"{name!r} cannot be the name of a resource.",
                       f"Use a letter, then a-z, 0-9 and '-', at most {MAX_NAME} characters.", USAGE)


def _specs(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both specs with the fields that were chosen, after the models have accepted them."""
    resources = {"gpus": args.gpus, "cpu": args.cpu, "memory": args.memory}
    job: dict[str, Any] = {
        "model": {"uri": args.model}, "dataset": {"uri": args.dataset}, "method": {"type": args.method},
        "training": {"epochs": args.epochs}, "output": {"uri": args.output}, "resources": resources}
    if args.prompts:
        job["evaluation"] = {"prompts": {"uri": args.prompts}}
    deployment = {"model": {"fineTuneJobRef": {"name": args.name}}, "resources": resources}
    try:
        FineTuneJobSpec.model_validate(job)
        ModelDeploymentSpec.model_validate(deployment)
    except ValidationError as error:
        raise CliError(*_first(error), USAGE) from error
    return job, deployment


def _first(error: ValidationError) -> tuple[str, str]:
    """The first thing that is wrong, as `spec.dataset.uri`, and what would be right."""
    first = error.errors()[0]
    field = ".".join(map(str, first["loc"]))
    return f"spec.{field}: {first['input']!r} is not valid: {first['msg']}.", f"See kubectl explain ftj.spec.{field}."


def _document(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
