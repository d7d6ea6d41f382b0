"""Configurations for the functional tests. JSON is YAML, so a dictionary is all it takes."""
import json
import os

from processes import MODEL

PRICES = {"cloudbrain": 2.75, "ai-hub": 1.98, "openmodel": 2.10}


def engine(**settings):
    """The served model on the real engine; the synthetic one in builds without LibTorch."""
    if os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic":
        return synthetic_engine(**settings)
    # Short steps are soon measured, which every start waits for.
    return {"kind": "local", "model": str(MODEL), "serves": ["smollm2"], "sequences_max": 8, "step_tokens_max": 64, **settings}


def synthetic_engine(base="5ms", per_sequence="1ms", per_prefill_token="0.1ms", **settings):
    """The engine without a model: filler tokens at a given pace, so that the gateway around it can be tested anywhere.

    Tests say the same prompt again and again and want it read each time.
    """
    prior = {"base": base, "per_sequence": per_sequence, "per_context_token": "0ms",
             "per_prefill_token": per_prefill_token}
    return {"kind": "local", "executor": "synthetic", "serves": ["smollm2"], "sequences_max": 8, "step_prior": prior,
            "prefix_cache": False, **settings}


def provider(base_url, name, **settings):
    price = f"{PRICES.get(name, 2.0)}usd"
    return {"kind": "provider", "base_url": base_url, "serves": [name],
            "price_per_million": {"input": price, "output": price}, **settings}


def gateway(targets, classes=None, **settings):
    """A whole configuration. `targets` maps names to the blocks above."""
    default = {"interactive": {"sla": {"ttft": "1s", "per_token": "200ms"}, "spill": "when_sla_at_risk"},
               "batch": {"match": {"service_tier": "flex"}, "spill": "always"}}
    return {
        "server": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "10s"},
        "keys": {"test": {"secret": "env:SPILLWAY_TEST_KEY"}},
        "targets": targets,
        "models": {"auto": "policy"},
        "classes": classes or default,
        "default_class": "interactive",
        **settings,
    }


def write(path, config):
    path.write_text(json.dumps(config, indent=1), encoding="utf-8")
    return path
