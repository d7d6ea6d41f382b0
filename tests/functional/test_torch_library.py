"""LibTorch is in the memory of those alone who compute with it, and a program without it says what is missing."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import configs
from processes import BINARY, KEY

pytestmark = pytest.mark.skipif(os.environ.get("SPILLWAY_TEST_ENGINE") == "synthetic", reason="a build without LibTorch")

ELSEWHERE = configs.provider("http://127.0.0.1:9/v1", "ai-hub")


def has_torch(process):
    return "libtorch" in Path(f"/proc/{process.child.pid}/maps").read_text(encoding="utf-8")


def test_it_is_loaded_where_it_computes(start_gateway, start_provider, model):
    assert has_torch(start_gateway(configs.gateway({"local": configs.engine()})))
    assert not has_torch(start_gateway(configs.gateway({"ai-hub": ELSEWHERE})))
    assert not has_torch(start_provider("instant"))


def test_a_program_alone_says_what_is_missing(tmp_path, model):
    alone = shutil.copy(BINARY, tmp_path / "spillway")
    config = configs.write(tmp_path / "spillway.yaml", configs.gateway({"local": configs.engine(), "ai-hub": ELSEWHERE}))
    done = subprocess.run([alone, "serve", "--config", config], env={**os.environ, "SPILLWAY_TEST_KEY": KEY}, capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "local target local: LibTorch cannot be loaded: libspillway_torch.so" in done.stderr + done.stdout
