"""Conversations become tokens with a mask: 1 where the model learns, on the assistant's answers and their end of turn.

Where an answer starts and ends is not guessed from the template's text. The template renders the conversation up to
the answer as it would for generation, and up to and including the answer; each must be, token by token, the start
of the next. So the model is trained on exactly the tokens it will see when it serves. A template that breaks this
(because it rewrites earlier turns, say) is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from anneal_trainer.errors import ModelMismatch
from anneal_trainer.jsonfile import Problems
from anneal_trainer.rows import Conversation
from anneal_trainer.template import Renderer, TemplateFailed
from anneal_trainer.token_rows import TokenRow


@dataclass(frozen=True)
class Masker:
    """Tokenises and masks rows with one template."""

    renderer: Renderer
    tokenizer: Tokenizer
    control: dict[str, int]
    """Special tokens by text: they end turns, and must not stand in a row's own text."""
    file: str
    ends: set[int] = field(default_factory=set)
    """Tokens that were seen to end an answer."""

    def mask(self, row: Conversation, problems: Problems) -> TokenRow | None:
        """The row's tokens; None when the row itself is at fault, which is noted. Raises ModelMismatch when the
        template is.
        """
        if (problem := self._control_token(row)) is not None:
            problems.add(row.line, problem)
            return None
        answers = [index for index, turn in enumerate(row.messages) if turn.role == "assistant"]
        pairs = [
            pair for index in answers for pair in ((row.messages[:index], True), (row.messages[: index + 1], False))
        ]
        try:
            texts = self.renderer.render(pairs)
        except TemplateFailed as error:
            problems.add(
                row.line, f"cannot be rendered by the chat template: {error}. Fix: correct the row or the template."
            )
            return None
        return self._masked(row, answers, texts)

    def _control_token(self, row: Conversation) -> str | None:
        for index, turn in enumerate(row.messages):
            for text in self.control:
                if text in turn.content:
                    return (
                        f'messages[{index}].content contains "{text}", a control token of this model. '
                        "Fix: remove it: in text it would end or forge a turn."
                    )
        return None

    def _masked(self, row: Conversation, answers: list[int], texts: list[str]) -> TokenRow:
        tokens = [self.tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
        ids = tokens[-1]
        mask = [0] * len(ids)
        for number, index in enumerate(answers):
            where = f"{self.file}:{row.line} messages[{index}]"
            before, after = tokens[2 * number], tokens[2 * number + 1]
            self._check_start(before, after, f"{where}: the prompt is not the start of the prompt with its answer")
            self._check_start(after, ids, f"{where}: the turns up to here are not the start of the whole conversation")
            self._check_written(row.messages[index].content, texts[2 * number], texts[2 * number + 1], where)
            end = self._end_of_turn(before, after, where)
            mask[len(before) : end] = [1] * (end - len(before))
        return TokenRow(row.line, ids, mask)

    def _check_start(self, start: Sequence[int], whole: Sequence[int], what: str) -> None:
        if list(whole[: len(start)]) == list(start):
            return
        at = next(
            (n for n, (a, b) in enumerate(zip(start, whole, strict=False)) if a != b), min(len(start), len(whole))
        )
        shown = [
            repr(self.tokenizer.decode(list(ids[at : at + 6]), skip_special_tokens=False)) for ids in (start, whole)
        ]
        raise ModelMismatch(
            f"the chat template cannot be masked. {what}: token {at} on is {shown[0]} against {shown[1]}. "
            "Fix: use a template that only appends, for example template.source: builtin."
        )

    def _check_written(self, content: str, before: str, after: str, where: str) -> None:
        if content.strip() not in after[len(before) :]:
            raise ModelMismatch(
                f"the chat template cannot be masked. {where}: it does not write the answer as given: "
                f"{after[len(before) :][:60]!r}. Fix: use a template that does, for example template.source: builtin."
            )

    def _end_of_turn(self, before: Sequence[int], after: Sequence[int], where: str) -> int:
        """Index behind the token that ends the turn; white space that a template puts after it is never generated."""
        special = set(self.control.values())
        last = next((n for n in range(len(after) - 1, len(before) - 1, -1) if after[n] in special), None)
        if last is None or self.tokenizer.decode(list(after[last + 1 :]), skip_special_tokens=False).strip():
            raise ModelMismatch(
                f"the chat template ends the answer at {where} with no control token, so the model would never learn "
                f"to "
                "stop. Fix: end the assistant's turn with eos_token in the template."
            )
        self.ends.add(after[last])
        return last + 1
