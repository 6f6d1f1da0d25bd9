"""Pieces of text as answers of the API: whole or streamed, for both kinds of request."""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from anneal_server.inference import protocol as api
from anneal_server.inference.engine import Ask, Piece
from anneal_server.inference.sampling import Token
from anneal_server.inference.text import UNFINISHED
from anneal_server.inference.weights import Weights


@dataclass
class Writer:
    """Writes the answer to one request; knows what both kinds share."""

    weights: Weights
    request: api.ChatRequest | api.CompletionRequest
    ask: Ask
    created: int = field(default_factory=lambda: int(time.time()))
    tokens: int = 0
    offset: int = 0
    """Characters that the tokens so far read, for text_offset."""

    def __post_init__(self) -> None:
        self.chat = isinstance(self.request, api.ChatRequest)
        self.id = f"{'chatcmpl' if self.chat else 'cmpl'}-{uuid.uuid4().hex}"

    def usage(self) -> api.Usage:
        """Tokens so far."""
        prompt = len(self.ask.prompt)
        return api.Usage(prompt_tokens=prompt, completion_tokens=self.tokens, total_tokens=prompt + self.tokens)

    async def whole(self, pieces: AsyncIterator[Piece]) -> api.ChatAnswer | api.CompletionAnswer:
        """The answer at once."""
        found = [piece async for piece in pieces]
        self.tokens = len(found)
        text, finish = "".join(piece.text for piece in found), found[-1].finish
        assert finish is not None, "the last piece says why it is the last"
        tokens = [piece.token for piece in found]
        common: dict[str, Any] = {"id": self.id, "created": self.created, "model": self.ask.name}
        if self.chat:
            choice = api.ChatChoice(message=api.Answer(content=text), finish_reason=finish,
                                    logprobs=self.chat_logprobs(tokens), token_ids=self.token_ids(tokens))
            return api.ChatAnswer(**common, choices=[choice], usage=self.usage(), prompt_token_ids=self.prompt_ids())
        return api.CompletionAnswer(**common, choices=[self.text_choice(text, tokens, finish)], usage=self.usage())

    async def stream(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[str, None]:
        """Server-sent events. The first one is there when the request has its turn."""
        try:
            async for piece in pieces:
                first, self.tokens = self.tokens == 0, self.tokens + 1
                yield event(self.chunk(piece, first=first))
        finally:
            await pieces.aclose()
        if self.request.stream_options and self.request.stream_options.include_usage:
            yield event(self.last())
        yield "data: [DONE]\n\n"

    def chunk(self, piece: Piece, *, first: bool) -> BaseModel:
        """One piece as an event."""
        common: dict[str, Any] = {"id": self.id, "created": self.created, "model": self.ask.name}
        if self.chat:
            delta = api.Delta(role="assistant" if first else None, content=piece.text)
            choice = api.ChatChunkChoice(delta=delta, finish_reason=piece.finish,
                                         logprobs=self.chat_logprobs([piece.token]),
                                         token_ids=self.token_ids([piece.token]))
            return api.ChatChunk(**common, choices=[choice], prompt_token_ids=self.prompt_ids() if first else None)
        choice_ = self.text_choice(piece.text, [piece.token], piece.finish, first=first)
        return api.CompletionAnswer(**common, choices=[choice_])

    def last(self) -> BaseModel:
        """The event with the usage."""
        kind = api.ChatChunk if self.chat else api.CompletionAnswer
        return kind(id=self.id, created=self.created, model=self.ask.name, choices=[], usage=self.usage())

    def text_choice(
        self, text: str, tokens: Sequence[Token], finish: api.Finish | None, *, first: bool = True,
    ) -> api.CompletionChoice:
        """The one choice of a completion."""
        return api.CompletionChoice(text=text, finish_reason=finish, logprobs=self.text_logprobs(tokens),
                                    token_ids=self.token_ids(tokens),
                                    prompt_token_ids=self.prompt_ids() if first else None)

    def token_ids(self, tokens: Sequence[Token]) -> list[int] | None:
        """Where they were asked for."""
        return [token.id for token in tokens] if self.request.return_token_ids else None

    def prompt_ids(self) -> list[int] | None:
        """Where they were asked for."""
        return self.ask.prompt if self.request.return_token_ids else None

    def chat_logprobs(self, tokens: Sequence[Token]) -> api.ChatLogprobs | None:
        """In the form of chat completions."""
        if self.ask.sampling.logprobs is None:
            return None
        content = [api.TokenLogprob(**self._entry(t.id, t.logprob),
                                    top_logprobs=[api.TopLogprob(**self._entry(*other)) for other in t.top])
                   for t in tokens]
        return api.ChatLogprobs(content=content)

    def _entry(self, token: int, logprob: float) -> dict[str, Any]:
        text = self.weights.spelling(token)
        whole = UNFINISHED not in text
        return {"token": text, "logprob": logprob, "bytes": list(text.encode()) if whole else None}

    def text_logprobs(self, tokens: Sequence[Token]) -> api.CompletionLogprobs | None:
        """In the form of completions."""
        if self.ask.sampling.logprobs is None:
            return None
        texts, offsets = [self.weights.spelling(token.id) for token in tokens], []
        for text in texts:
            offsets.append(self.offset)
            self.offset += len(text)
        top = [{self.weights.spelling(other): logprob for other, logprob in (*t.top, (t.id, t.logprob))}
               for t in tokens]
        return api.CompletionLogprobs(tokens=texts, token_logprobs=[t.logprob for t in tokens], top_logprobs=top,
                                      text_offset=offsets)


def event(body: BaseModel) -> str:
    """One server-sent event."""
    return f"data: {body.model_dump_json(exclude_none=True)}\n\n"
