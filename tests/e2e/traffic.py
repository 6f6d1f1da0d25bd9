"""Runs in a pod: asks a served model again and again, each time on a new connection, and says how each went."""

import json
import sys
import urllib.request

URL, MODEL = sys.argv[1:]
BODY = json.dumps({"model": MODEL, "prompt": "What is the code of locker 3?", "max_tokens": 8}).encode()
REQUEST = urllib.request.Request(f"{URL}/completions", BODY, {"Content-Type": "application/json"})

while True:
    try:
        with urllib.request.urlopen(REQUEST, timeout=60) as answer:
            json.load(answer)["choices"][0]["text"]
        print("ok", flush=True)
    except Exception as error:
        print(f"failed: {error!r}", flush=True)
