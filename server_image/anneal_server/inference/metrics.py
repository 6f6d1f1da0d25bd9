"""What /metrics tells."""

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120)
REQUESTS = Counter("anneal_engine_requests", "Answered requests.", ["path", "status"])
PROMPT_TOKENS = Counter("anneal_engine_prompt_tokens", "Tokens of prompts.")
GENERATED_TOKENS = Counter("anneal_engine_generated_tokens", "Tokens of answers.")
FIRST_TOKEN = Histogram("anneal_engine_first_token_seconds", "From a request to its first token, the queue included.",
                        buckets=SECONDS)
ANSWER = Histogram("anneal_engine_answer_seconds", "From a request to its last token.", buckets=SECONDS)
RUNNING = Gauge("anneal_engine_running_requests", "Requests that are being answered.")
WAITING = Gauge("anneal_engine_waiting_requests", "Requests that wait for their turn.")
