"""A provider that plays back bytes, whatever it is asked: for what no well-behaved simulator would say."""
import http.server
import json
import threading


def events(*objects, done=True):
    """Server-sent events of these JSON objects."""
    lines = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in objects]
    return b"".join(lines) + (b"data: [DONE]\n\n" if done else b"")


def chunk(text=None, finish=None, usage=None, choices=True):
    """One chunk of a streamed chat completion."""
    delta = {} if text is None else {"content": text}
    one = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}] if choices else []}
    if usage is not None:
        one["usage"] = usage
    return one


class PlayedProvider:
    """Answers every POST with `answer`, in pieces; `end` stops it."""

    def __init__(self, answer, content_type="text/event-stream"):
        self.asked = []
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                provider.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("content-type", content_type)
                self.end_headers()
                try:
                    for at in range(0, len(answer), 512):
                        self.wfile.write(answer[at:at + 512])
                        self.wfile.flush()
                except OSError:
                    pass  # The gateway has heard enough.

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()
