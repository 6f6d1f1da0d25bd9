"""From a request to pieces of text: checks it, waits for its turn, and lets the model run token by token."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from anneal_server.inference import metrics
from anneal_server.inference.errors import ApiError
from anneal_server.inference.options import Options
from anneal_server.inference.protocol import ChatRequest, CompletionRequest, Finish, Request
from anneal_server.inference.sampling import Sampling, Token
from anneal_server.inference.slots import Slots
from anneal_server.inference.text import Detokenizer, StopFilter
from anneal_server.inference.weights import Sequel, Weights

T = TypeVar("T")


@dataclass(frozen=True)
class Ask:
    """A request that can be answered."""

    name: str
    prompt: list[int]
    max_tokens: int
    stops: Sequence[str]
    sampling: Sampling


@dataclass(frozen=True)
class Piece:
    """What one token brought: often a few characters, at times none. The last one says why it is the last."""

    text: str
    token: Token
    finish: Finish | None = None


class Engine:
    """Everything between HTTP and the model."""

    def __init__(self, options: Options, weights: Weights) -> None:
        self.options, self.weights = options, weights
        self.names = [options.name, *options.adapters]
        self.slots = Slots(options.running, options.waiting)
        # One thread: the model is used by one step at a time, and requests take turns between steps.
        self._model = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._tokenizer = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    async def ask(self, request: ChatRequest | CompletionRequest) -> Ask:
        """Raises ApiError that says what cannot be answered."""
        self.slots.check()
        if request.model not in self.names:
            raise ApiError(404, f"there is no model {request.model!r}; there are {', '.join(self.names)}", "model")
        if request.stream_options and not request.stream:
            raise ApiError(400, "stream_options is for stream: true", "stream_options")
        if isinstance(request, ChatRequest):
            messages = [{"role": m.role, "content": m.text} for m in request.messages]
            prompt = await _run(self._tokenizer, lambda: self.weights.chat_ids(messages))
            wanted, field = request.max_completion_tokens or request.max_tokens, "messages"
        else:
            text = request.prompt
            prompt = await _run(self._tokenizer, lambda: self.weights.text_ids(text))
            wanted, field = request.max_tokens, "prompt"
        return Ask(request.model, prompt, self._room(prompt, wanted, field), request.stops, self._sampling(request))

    def _room(self, prompt: list[int], wanted: int | None, field: str) -> int:
        """Tokens that the answer may have."""
        limit = self.options.max_model_len
        if not prompt:
            raise ApiError(400, "the prompt is empty", field)
        room = limit - len(prompt)
        if room < 1 or (wanted or 1) > room:
            asked = f" and the answer may have {wanted}" if wanted else ""
            text = (f"the longest prompt and answer together is {limit} tokens (spec.engine.maxModelLen), but the "
                    f"prompt has {len(prompt)}{asked}")
            raise ApiError(400, text, field if room < 1 else "max_tokens")
        return wanted or room

    def _sampling(self, request: Request) -> Sampling:
        said = {key: value for key in ("temperature", "top_p", "top_k") if (value := getattr(request, key)) is not None}
        return Sampling(**{**self.weights.defaults, **said}, seed=request.seed, logprobs=_logprobs(request))

    async def pieces(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """The answer. Leaving it early, as when the client has gone, frees its slot."""
        begun = time.monotonic()
        async with self.slots.take():
            sequel = Sequel(self.weights, ask.name, ask.prompt, ask.sampling)
            words, stop = Detokenizer(self.weights.decode), StopFilter(ask.stops)
            metrics.PROMPT_TOKENS.inc(len(ask.prompt))
            for number in range(1, ask.max_tokens + 1):
                token = await _run(self._model, sequel.step)
                metrics.GENERATED_TOKENS.inc()
                if number == 1:
                    metrics.FIRST_TOKEN.observe(time.monotonic() - begun)
                piece = self._piece(token, words, stop, last=number == ask.max_tokens)
                yield piece
                if piece.finish:
                    break
            metrics.ANSWER.observe(time.monotonic() - begun)

    def _piece(self, token: Token, words: Detokenizer, stop: StopFilter, *, last: bool) -> Piece:
        ended = token.id in self.weights.ends
        text, met = stop.feed(words.flush() if ended else words.add(token.id))
        if met:
            return Piece(text, token, "stop")
        if last and not ended:
            more, met = stop.feed(words.flush())
            text += more
        if ended or last:
            return Piece(text + stop.flush(), token, "stop" if ended or met else "length")
        return Piece(text, token)


async def _run(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _logprobs(request: Request) -> int | None:
    if isinstance(request, ChatRequest):
        if request.top_logprobs is not None and not request.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs: true", "top_logprobs")
        return (request.top_logprobs or 0) if request.logprobs else None
    found: Any = getattr(request, "logprobs", None)
    return found if found is None else int(found)
