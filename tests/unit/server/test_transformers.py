"""The command line of the transformers engine."""

from anneal_api.serve import ServeModel, ServeSpec
from anneal_server.engines import Facts
from anneal_server.engines.transformers import ENVIRONMENT, commands
from anneal_server.inference.options import Options, parse

BASE = ServeModel(name="base", path="/mnt/pvc/models/base")
TUNED = ServeModel(name="support", path="/mnt/pvc/models/support")
FACTS = Facts(python="python", tokenizer=BASE.path, lora_rank=16, chat_template=f"{TUNED.path}/chat_template.jinja")


def test_adapter_and_base_are_one_process() -> None:
    spec = ServeSpec(engine="transformers", models=[BASE], adapters=[TUNED], tokenizer_path=TUNED.path,
                     max_model_len=1024, cpus=2)
    (command,) = commands(spec, FACTS)
    assert command.argv == (
        "python", "-m", "anneal_server.inference", "--model", BASE.path, "--name", "base", "--tokenizer", BASE.path,
        "--max-model-len", "1024", "--port", "8000", "--threads", "2", "--chat-template", FACTS.chat_template,
        "--adapter", "support=/mnt/pvc/models/support")
    assert command.env == {**ENVIRONMENT, "OMP_NUM_THREADS": "2"}
    assert command.env["GOMP_SPINCOUNT"] == "5000"


def test_two_complete_models_share_the_cores_on_consecutive_ports() -> None:
    first, second = commands(ServeSpec(engine="transformers", models=[BASE, TUNED], cpus=3), FACTS)
    assert [c.argv[c.argv.index("--port") + 1] for c in (first, second)] == ["8000", "8001"]
    assert [c.env["OMP_NUM_THREADS"] for c in (first, second)] == ["1", "1"]
    assert "--adapter" not in second.argv


def test_the_command_line_says_what_it_means() -> None:
    spec = ServeSpec(engine="transformers", models=[BASE], adapters=[TUNED], tokenizer_path=TUNED.path, cpus=2)
    options = parse(commands(spec, FACTS)[0].argv[3:])
    assert options == Options(
        model=options.model, name="base", tokenizer=options.tokenizer, max_model_len=2048, threads=2,
        chat_template=options.chat_template, adapters={"support": options.adapters["support"]})
    assert [str(options.model), str(options.tokenizer), str(options.adapters["support"]), str(options.chat_template)] \
        == [BASE.path, BASE.path, TUNED.path, FACTS.chat_template]


def test_code_of_the_model_is_never_trusted() -> None:
    assert not any("trust" in word for word in commands(ServeSpec(models=[BASE]), FACTS)[0].argv)
