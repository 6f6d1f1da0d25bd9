"""Rows become tokens with masks, and everything that does not fit the model or the engine is refused."""

import logging
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from anneal_api.finetunejob_status import DatasetStatus
from anneal_api.run import RunSpec
from anneal_trainer import template
from anneal_trainer.base_model import TOKENIZER, BaseModel, check_vocabulary, read_json
from anneal_trainer.errors import BadData, ModelMismatch
from anneal_trainer.jsonfile import Problems
from anneal_trainer.masking import Masker
from anneal_trainer.prompts import Prompt
from anneal_trainer.rows import Conversation
from anneal_trainer.split import Parts
from anneal_trainer.template import Renderer, TemplateFailed
from anneal_trainer.token_rows import TokenRow

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tokenised:
    """The tokens of each part; `dropped` rows were too long."""

    train: list[TokenRow]
    validation: list[TokenRow]
    test: list[TokenRow]
    dropped: int

    def status(self, rows: int, digest: str) -> DatasetStatus:
        """The counts that users see."""
        return DatasetStatus(
            rows=rows,
            train=len(self.train),
            validation=len(self.validation),
            test=len(self.test),
            dropped=self.dropped,
            tokens=sum(len(row.ids) for row in self.train),
            trained_tokens=sum(row.trained for row in self.train),
            digest=digest,
        )


def tokenise(run: RunSpec, model: BaseModel, source: str, parts: Parts, prompts: list[Prompt]) -> Tokenised:
    """Render, mask and count everything. Raises BadData or ModelMismatch that names the row."""
    tokenizer = _load_tokenizer(model)
    control = {token.content: number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    problems = Problems(Path(run.dataset.uri).name)
    with Renderer(source, template.special_tokens(model.folder)) as renderer:
        masker = Masker(renderer, tokenizer, control, problems.name)
        found = [_mask_all(masker, part, problems) for part in (parts.train, parts.validation, parts.test)]
        problems.raise_if_any()
        _check_prompts(run, model, masker, prompts)
    _warn_of_endless_answers(model, tokenizer, masker.ends)
    limit = _row_limit(run, model)
    train, validation, test = kept = [_within(rows, limit, run, problems) for rows in found]
    problems.raise_if_any()
    dropped = sum(map(len, found)) - sum(map(len, kept))
    if not train:
        raise BadData(
            f"no training row has at most {limit.tokens} tokens ({limit.name}; {dropped} rows dropped). "
            "Fix: shorten the rows or raise the limit."
        )
    return Tokenised(train, validation, test, dropped)


def _mask_all(masker: Masker, rows: tuple[Conversation, ...], problems: Problems) -> list[TokenRow]:
    return [masked for row in rows if (masked := masker.mask(row, problems)) is not None]


@dataclass(frozen=True)
class _Limit:
    """The longest that a row or prompt may be, and what sets it."""

    tokens: int
    name: str


def _row_limit(run: RunSpec, model: BaseModel) -> _Limit:
    """One token less than the model's context: the engine generates one when it scores a row."""
    wanted = run.dataset.max_tokens
    if model.context is not None and model.context - 1 < wanted:
        return _Limit(model.context - 1, f"the model's context is {model.context}")
    return _Limit(wanted, f"dataset.maxTokens is {wanted}")


def _within(rows: list[TokenRow], limit: _Limit, run: RunSpec, problems: Problems) -> list[TokenRow]:
    if run.dataset.too_long == "fail":
        for row in rows:
            if len(row.ids) > limit.tokens:
                problems.add(
                    row.line,
                    f"has {len(row.ids)} tokens; {limit.name}. Fix: shorten it, raise the limit or set tooLong: drop.",
                )
    return [row for row in rows if len(row.ids) <= limit.tokens]


def _check_prompts(run: RunSpec, model: BaseModel, masker: Masker, prompts: list[Prompt]) -> None:
    """The engine has room for maxTokens and an answer, within the model's context; it would refuse a longer prompt."""
    room = run.dataset.max_tokens + run.evaluation.max_new_tokens
    room = min(room, model.context) if model.context is not None else room
    for prompt in prompts:
        try:
            (text,) = masker.renderer.render([(prompt.messages, True)])
        except TemplateFailed as error:
            raise BadData(
                f'prompt "{prompt.id}" cannot be rendered by the chat template: {error}. Fix: correct it.'
            ) from None
        tokens = len(masker.tokenizer.encode(text, add_special_tokens=False).ids)
        if tokens + run.evaluation.max_new_tokens > room:
            raise BadData(
                f'prompt "{prompt.id}" has {tokens} tokens; with evaluation.maxNewTokens '
                f"{run.evaluation.max_new_tokens} "
                f"the engine has room for {room}. Fix: shorten it, lower maxNewTokens or raise dataset.maxTokens."
            )


def _load_tokenizer(model: BaseModel) -> Tokenizer:
    path = model.folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise ModelMismatch(
            f"{path} cannot be loaded: {error}. Fix: save the tokenizer again with a current library."
        ) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    check_vocabulary(model, max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0))
    return tokenizer


def _warn_of_endless_answers(model: BaseModel, tokenizer: Tokenizer, ends: set[int]) -> None:
    """Engines stop at the model's eos tokens; answers that end otherwise would run on to the length limit."""
    stops: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        value = read_json(model.folder / name).get("eos_token_id")
        stops |= {value} if isinstance(value, int) else set(value or ())
    eos = tokenizer.token_to_id(template.special_tokens(model.folder).get("eos_token", ""))
    for end in ends - stops - {eos}:
        log.warning(
            "answers end with %s, which is no eos token of the model: engines may not stop there",
            tokenizer.id_to_token(end),
        )
