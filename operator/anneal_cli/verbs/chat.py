"""`anneal chat`: ask a served model, side by side with its base on request."""

import argparse
import importlib
import threading
from contextlib import nullcontext
from dataclasses import dataclass, field

from rich.console import RenderableType
from rich.live import Live

from anneal_api.modeldeployment import BASE_MODEL_NAME
from anneal_api.serve import PORT
from anneal_cli import openai
from anneal_cli.errors import OK, USAGE, CliError
from anneal_cli.kinds import LABEL_UID, MODEL_DEPLOYMENT, PODS, Target, parse_target
from anneal_cli.resource import Object, Resource
from anneal_cli.session import Session
from anneal_cli.views.chat import screen

HELP = "Ask a served model; --compare base shows the base model's answer beside it. Without -p it is a conversation."
EPILOG = ("Talks to a ready pod through the API server, so it needs no route to the cluster. With -o json: one object "
          "{prompt, tuned} or {prompt, base, tuned} per line.")


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("name", metavar="NAME", help="name of a ModelDeployment")
    parser.add_argument("-p", "--prompt", action="append", metavar="TEXT", help="ask this and end; may be repeated")
    parser.add_argument("--system", metavar="TEXT", help="system message in front of the conversation")
    parser.add_argument("--compare", choices=(BASE_MODEL_NAME,), help="base: show the base model's answer too")
    parser.add_argument("--max-tokens", type=int, default=128, metavar="N", help="longest answer (default 128)")
    parser.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 repeats itself (default 0)")
    parser.add_argument("-o", "--output", choices=("json",), help="json: one object per prompt and line")


def run(args: argparse.Namespace, session: Session) -> int:
    """Answer the prompts, or talk."""
    if not args.prompt and not session.interactive:
        raise CliError("There is no prompt, and no terminal to ask for one.", "Add -p TEXT.", USAGE)
    resource = session.find_one(Target(parse_target(args.name).name, (MODEL_DEPLOYMENT,)))
    chat = Chat(args, session, resource, ready_pod(session, resource))
    for prompt in args.prompt or []:
        chat.ask(prompt)
    if not args.prompt:
        _converse(chat, session)
    return OK


def _converse(chat: "Chat", session: Session) -> None:
    session.note("Type a question; an empty line or Ctrl-D ends.", "dim")
    while prompt := _read_line(session):
        chat.ask(prompt)


def _read_line(session: Session) -> str:
    # Loaded for its effect: input() then edits lines and knows the ones before.
    importlib.import_module("readline")
    try:
        return session.out.input("[bold]> [/bold]").strip()
    except EOFError:
        return ""


def ready_pod(session: Session, resource: Resource) -> str:
    """Name of a pod that answers; an error that says why there is none."""
    pods = session.cluster.list(PODS, {"labelSelector": f"{LABEL_UID}={resource.uid}"}).items
    found = next((str(pod["metadata"]["name"]) for pod in pods if _is_ready(pod)), None)
    if found:
        return found
    condition = resource.trouble
    why = f"{condition.reason}: {condition.message}" if condition else resource.status.phase or "Pending"
    raise CliError(f"No pod of {resource.ref} is ready to answer ({why}).",
                   f"Wait for it with `anneal status mdep/{resource.name} -w`.")


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    going = pod["metadata"].get("deletionTimestamp")
    return not going and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@dataclass
class Speaker:
    """One model and its side of the conversation."""

    title: str
    model: str
    messages: list[openai.Message] = field(default_factory=list)
    answer: str = ""
    error: CliError | None = None


class Chat:
    """Asks one model, or two at the same time."""

    def __init__(self, args: argparse.Namespace, session: Session, resource: Resource, pod: str) -> None:
        self._args = args
        self._session = session
        self._pod = pod
        name = resource.deployment.served_name or resource.name
        compared = [Speaker("base", BASE_MODEL_NAME)] if args.compare else []
        self._speakers = [*compared, Speaker("tuned" if compared else name, name)]
        self._check_models()
        for speaker in self._speakers:
            speaker.messages += [{"role": "system", "content": args.system}] if args.system else []

    def ask(self, prompt: str) -> None:
        """One question, answered by all; shown while it is answered."""
        for speaker in self._speakers:
            speaker.messages.append({"role": "user", "content": prompt})
            speaker.answer, speaker.error = "", None
        with self._live():
            self._answer_all()
        for speaker in self._speakers:
            if speaker.error:
                raise speaker.error
            speaker.messages.append({"role": "assistant", "content": speaker.answer})
        self._show(prompt)

    def _live(self) -> Live | nullcontext[None]:
        """The answers as they grow; the final picture is printed by `_show`."""
        if self._args.output or not self._session.out.is_terminal:
            return nullcontext()
        return Live(get_renderable=self._screen, console=self._session.out, transient=True, refresh_per_second=8)

    def _screen(self) -> RenderableType:
        return screen([(s.title, s.answer) for s in self._speakers], self._session.out.width)

    def _show(self, prompt: str) -> None:
        if self._args.output == "json":
            answers = {"base" if s.model == BASE_MODEL_NAME else "tuned": s.answer for s in self._speakers}
            self._session.print_json({"prompt": prompt, **answers}, None)
            return
        # In a conversation the prompt stands there already.
        if self._args.prompt and (len(self._args.prompt) > 1 or len(self._speakers) > 1):
            self._session.say(f"> {prompt}")
        self._session.out.print(self._screen())

    def _answer_all(self) -> None:
        """All models at once: a thread each, so that a slow one does not hold the others up."""
        threads = [threading.Thread(target=self._answer, args=(speaker,), daemon=True) for speaker in self._speakers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _answer(self, speaker: Speaker) -> None:
        try:
            with self._session.cluster.connect(self._pod, PORT) as stream:
                for piece in openai.answer(stream, speaker.model, speaker.messages, max_tokens=self._args.max_tokens,
                                           temperature=self._args.temperature):
                    speaker.answer += piece
        except CliError as error:
            speaker.error = error

    def _check_models(self) -> None:
        """Refuse to compare with a base that is not served, before anything is asked."""
        with self._session.cluster.connect(self._pod, PORT) as stream:
            served = openai.models(stream)
        missing = [s.model for s in self._speakers if s.model not in served]
        if missing:
            raise CliError(f"The server has no model {missing[0]!r}; it has: {', '.join(served)}.",
                           "The base model is served only beside an adapter (method.type: lora)."
                           if missing[0] == BASE_MODEL_NAME else "Wait until the new revision is ready.")
