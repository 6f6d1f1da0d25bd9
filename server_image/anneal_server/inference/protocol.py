"""Requests and answers of the OpenAI API, as far as this engine goes. What it does not know it refuses by name."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def whole(value: Any) -> Any:
    """JSON has one kind of number: 4.0 is as good an integer as 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = BeforeValidator(whole)
Count = Annotated[int, Field(ge=1, le=1_048_576), Whole]
Alternatives = Annotated[int, Field(ge=0, le=20), Whole]
Zero = Annotated[float, Field(ge=0, le=0)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1), Whole]
MAX_TEXT = 1_000_000


class Strict(BaseModel):
    """A part of a request: a field that would be ignored is an error instead."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(Strict):
    """A piece of a message."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_TEXT)


class Message(Strict):
    """One message of a conversation."""

    role: str = Field(min_length=1, max_length=64)
    content: Annotated[str, Field(max_length=MAX_TEXT)] | Annotated[list[TextPart], Field(max_length=1024)]

    @property
    def text(self) -> str:
        """The content as one string."""
        return self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)


class StreamOptions(Strict):
    """How to stream."""

    include_usage: bool = False


class Request(Strict):
    """What both kinds of request share."""

    model: str = Field(min_length=1, max_length=256)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: Annotated[int, Field(ge=0, le=100_000), Whole] | None = None
    """0: all."""
    seed: Annotated[int, Field(ge=0, le=2**53 - 1), Whole] | None = None
    """Up to what every JSON library carries exactly."""
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    n: Annotated[Literal[1], Whole] = 1
    presence_penalty: Zero = 0
    frequency_penalty: Zero = 0
    user: str | None = Field(default=None, max_length=1024)
    return_token_ids: bool = False
    """Adds prompt_token_ids and token_ids to the answer, as vLLM does."""

    @property
    def stops(self) -> list[str]:
        """Stop strings."""
        return [self.stop] if isinstance(self.stop, str) else list(self.stop or [])


class ChatRequest(Request):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=4096)
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool = False
    top_logprobs: Alternatives | None = None


class CompletionRequest(Request):
    """POST /v1/completions."""

    prompt: Annotated[str, Field(max_length=MAX_TEXT)] | Annotated[list[TokenId], Field(max_length=1_048_576)]
    max_tokens: Count | None = 16
    logprobs: Alternatives | None = None
    echo: Literal[False] = False


class Usage(BaseModel):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TopLogprob(BaseModel):
    """A token that could have been, and how likely it was."""

    token: str
    logprob: float
    bytes: list[int] | None
    """None for a part of a character, which reads as no text."""


class TokenLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(BaseModel):
    """Of the tokens of a message."""

    content: list[TokenLogprob]


class CompletionLogprobs(BaseModel):
    """Of the tokens of a text."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


Finish = Literal["stop", "length"]


class Answer(BaseModel):
    """The message of an assistant."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(BaseModel):
    """The one answer."""

    index: int = 0
    message: Answer
    logprobs: ChatLogprobs | None = None
    finish_reason: Finish
    token_ids: list[int] | None = None


class ChatAnswer(BaseModel):
    """The answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    prompt_token_ids: list[int] | None = None


class CompletionChoice(BaseModel):
    """The one text."""

    index: int = 0
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Finish | None = None
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None


class CompletionAnswer(BaseModel):
    """The answer of POST /v1/completions; also a piece of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None


class Delta(BaseModel):
    """What a piece of a stream adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(BaseModel):
    """A piece of the one answer."""

    index: int = 0
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: Finish | None = None
    token_ids: list[int] | None = None


class ChatChunk(BaseModel):
    """A piece of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: Usage | None = None
    prompt_token_ids: list[int] | None = None


class ModelCard(BaseModel):
    """A name that requests may ask for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["anneal"] = "anneal"
    root: str
    parent: str | None = None
    max_model_len: int


class ModelList(BaseModel):
    """GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorDetail(BaseModel):
    """What is wrong, and where."""

    message: str
    type: str
    param: str | None = None
    code: int


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    error: ErrorDetail
