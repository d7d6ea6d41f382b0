"""Fixtures: providers and gateways as real processes, and the official client pointed at them."""
import openai
import pytest

import configs
from processes import KEY, MODEL, Gateway, Provider
from upstream import Upstream


@pytest.fixture
def processes():
    """Takes processes into care: they end with the test."""
    running = []
    yield running
    for process in reversed(running):
        process.end()


@pytest.fixture
def start_provider(processes):
    def start(profile="instant", *flags):
        processes.append(Provider(profile, *flags))
        return processes[-1]
    return start


@pytest.fixture
def start_upstream(processes):
    """Providers of the tests' own making (upstream.py)."""
    def start(answer):
        processes.append(Upstream(answer))
        return processes[-1]
    return start


@pytest.fixture
def start_gateway(processes, tmp_path):
    def start(config, **env):
        path = configs.write(tmp_path / "spillway.yaml", config)
        processes.append(Gateway(path, env))
        return processes[-1]
    return start


@pytest.fixture
def client_of():
    clients = []

    def make(gateway, **settings):
        clients.append(openai.OpenAI(**{"base_url": gateway.api, "api_key": KEY, "max_retries": 0, **settings}))
        return clients[-1]
    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def model():
    assert MODEL.is_file(), f"{MODEL} is missing: deploy/quickstart.sh --build-only fetches it"
    return MODEL


@pytest.fixture
def gateway(start_provider, start_gateway, model):
    """The whole house: the real engine, the three providers, answering fast, a rule for what nobody here asks, and a
    budget that nobody here spends."""
    targets = {"local": configs.engine(prefix_cache=True)}
    for name in ("cloudbrain", "ai-hub", "openmodel"):
        targets[name] = configs.provider(start_provider("instant").base_url, name)
    rules = [{"name": "too-long", "if": "prompt_tokens > 1000000", "route": "refuse"}]
    tenants = {"test": {"budget": {"day": "1000usd", "month": "10000usd"}}}
    return start_gateway(configs.gateway(targets, rules=rules, tenants=tenants))
