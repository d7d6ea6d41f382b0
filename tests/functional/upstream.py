"""A provider of the tests' own making: it records what it is asked, byte for byte, and answers what it is told to."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def chat(text="Hello", index=0, **choice):
    """A whole chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    one = {"index": index, "message": message, "logprobs": None, "finish_reason": "stop", **choice}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "up", "choices": [one],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}


def chunk(delta, index=0, finish=None, **choice):
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish, **choice}]}


USAGE = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
         "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}


def begin(handler, content_type="text/event-stream"):
    """The head of an answer that ends with its connection."""
    handler.send_response(200)
    handler.send_header("content-type", content_type)
    handler.send_header("connection", "close")
    handler.end_headers()
    handler.close_connection = True


class Asked:
    def __init__(self, handler, body):
        self.path, self.body, self.headers = handler.path, body, dict(handler.headers)
        self.json = json.loads(body)


class Upstream:
    """`answer(asked)` gives a dictionary (a whole answer), a list of chunks (a stream), a (status, dictionary) of an
    error, or a callable that is given the handler."""

    def __init__(self, answer):
        self.answer, self.asked, self.left = answer, [], threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.base_url = self.url + "/v1"

    def end(self):
        self.server.shutdown()
        self.server.server_close()

    def _handler(self):
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                asked = Asked(self, self.rfile.read(int(self.headers["content-length"])))
                upstream.asked.append(asked)
                upstream.say(self, upstream.answer(asked))

            def log_message(self, *_):
                pass

            def wait_until_left(self):
                """Blocks until the gateway closes the connection."""
                self.connection.settimeout(15)
                if self.connection.recv(1) == b"":
                    upstream.left.set()
                self.close_connection = True

        return Handler

    @staticmethod
    def say(handler, answer):
        if callable(answer):
            return answer(handler)
        status, answer = answer if isinstance(answer, tuple) else (200, answer)
        streamed = isinstance(answer, list)
        body = "".join(f"data: {json.dumps(one)}\n\n" for one in answer) + "data: [DONE]\n\n" if streamed \
            else json.dumps(answer)
        handler.send_response(status)
        handler.send_header("content-type", "text/event-stream" if streamed else "application/json")
        handler.send_header("content-length", str(len(body.encode())))
        handler.end_headers()
        handler.wfile.write(body.encode())
        return None
