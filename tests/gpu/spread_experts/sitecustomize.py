"""On the path of every Python that vLLM starts: its dummy weights get the deviations of random_model.py.

vLLM draws all of them from ±0.001. A router's scores then differ by less than its softmax, in bf16, can tell apart: every
token of every layer takes the same experts, and a step reads 8 of 66 where a trained model reads all.
"""
import importlib.abc
import importlib.util
import itertools
import math
import sys

MODULE = "vllm.model_executor.model_loader.weight_utils"


def spread(module):
    import torch  # pylint: disable=import-outside-toplevel
    seeds = itertools.count(1)

    @torch.no_grad()
    def draw(param, *_unused, **_named):
        if param.device.type == "meta" or not torch.is_floating_point(param):
            return
        if param.dim() < 2:
            param.fill_(1.0)
            return
        generator = torch.Generator(device=param.device)
        generator.manual_seed(next(seeds))
        param.normal_(0.0, 1 / math.sqrt(param.shape[-1]), generator=generator)

    module.initialize_single_dummy_weight = draw


class Loader(importlib.abc.Loader):
    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return self.real.create_module(spec)

    def exec_module(self, module):
        self.real.exec_module(module)
        spread(module)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, _path=None, _target=None):
        if fullname != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = Loader(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
