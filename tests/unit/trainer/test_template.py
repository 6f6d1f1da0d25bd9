"""Which chat template is taken."""

import json
from pathlib import Path

import pytest

from anneal_api.finetunejob import Template
from anneal_trainer import template
from anneal_trainer.errors import BadConfig, ModelMismatch
from tests.unit.trainer.tiny import CHATML


def test_the_models_own_template_is_found_in_each_place_it_may_stand(tmp_path: Path) -> None:
    assert template.choose(Template(), tmp_path, tmp_path) == template.BUILTIN
    config = tmp_path / "tokenizer_config.json"
    config.write_text(
        json.dumps({"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]})
    )
    assert template.choose(Template(), tmp_path, tmp_path) == "d"
    config.write_text(json.dumps({"chat_template": CHATML}))
    assert template.choose(Template(), tmp_path, tmp_path) == CHATML
    (tmp_path / "chat_template.jinja").write_text("file")
    assert template.choose(Template(source="model"), tmp_path, tmp_path) == "file"
    assert template.choose(Template(source="builtin"), tmp_path, tmp_path) == template.BUILTIN


def test_a_template_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"template\.source is model, but the model has no chat template"):
        template.choose(Template(source="model"), tmp_path, tmp_path)
    reference = Template.model_validate({"source": "configMap", "configMapRef": {"name": "mine"}})
    with pytest.raises(BadConfig, match=r"has no key chat_template\.jinja"):
        template.choose(reference, tmp_path, tmp_path)
    (tmp_path / "chat_template.jinja").write_text("x" * (300 << 10))
    with pytest.raises(ModelMismatch, match="has 307200 bytes; at most 262144"):
        template.choose(reference, tmp_path, tmp_path)
