"""A server that speaks the OpenAI stream, and the pod it stands for."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

from anneal_cli import kinds
from tests.unit.cli import samples


class Engine(BaseHTTPRequestHandler):
    """Answers every chat with the model's name and the last message."""

    models: ClassVar[list[str]] = ["base", "support"]
    broken: ClassVar[bool] = False
    asked: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        self._send("application/json", json.dumps({"data": [{"id": name} for name in self.models]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if self.broken:
            self._send("text/event-stream", b'data: {"error": {"message": "out of memory"}}\n\n')
            return
        pieces = [body["model"], " heard: ", body["messages"][-1]["content"], " ✓"]
        events = [{"choices": [{"delta": {"role": "assistant"}}]},
                  *({"choices": [{"delta": {"content": piece}}]} for piece in pieces)]
        stream = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        self._send("text/event-stream", f"{stream}data: [DONE]\n\n".encode())

    def _send(self, kind: str, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def pod(ready: str = "True") -> samples.Object:
    return {"kind": "Pod", "spec": {"containers": []}, "status": {"conditions": [{"type": "Ready", "status": ready}]},
            "metadata": {"name": "server", "namespace": "default", "uid": "pod-uid",
                         "labels": {kinds.LABEL_UID: "modeldeployment-support-uid"}}}
