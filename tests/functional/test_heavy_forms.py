"""Forms that take all that a form may have, of four tenants at once: each ends with its time, what it had is free again, and
a fifth tenant's usual forms are prepared as ever.
"""
import concurrent.futures
import os
import statistics
import time
from pathlib import Path

import openai
import pytest

import configs
from processes import wait_until

TENANTS = ("east", "west", "north", "south", "home")
HELLO = [{"role": "user", "content": "Who are you?"}]
SECONDS_MAX = 20  # That a form may take.
BYTES_MAX = 512 << 20  # …beside what its process begins with.


def with_properties(count, make, **more):
    return {"type": "object", "additionalProperties": False, "properties": {f"p{i}": make(i) for i in range(count)}, **more}


HEAVY = [with_properties(300, lambda i: {"type": "boolean"}, minProperties=100),
         with_properties(150, lambda i: {"type": "boolean"}, minProperties=75),
         with_properties(25, lambda i: {"type": "string", "pattern": f"^[a-f]{{{1900 + i}}}$"}),
         with_properties(300, lambda i: {"type": "string", "maxLength": 1000 + i})]


def usual(number):
    """One that nobody asked for before."""
    return with_properties(4, lambda i: {"type": "string"}) | {"required": ["p0"], "properties": {
        "p0": {"enum": [f"number {number}", "other"]}, "p1": {"type": "integer"}, "p2": {"type": "array", "items": {"type": "string"}}}}


def form_processes(gateway):
    """The processes that compile a form for it, by their ids, and the bytes that each has."""
    parents, names = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = status.read_text().split(" (", 1)
        except OSError:  # It has ended meanwhile.
            continue
        name, rest = rest.rsplit(") ", 1)
        parents[int(pid)], names[int(pid)] = int(rest.split()[1]), name

    def is_ours(pid):
        return pid == gateway.child.pid or (pid in parents and is_ours(parents[pid]))

    found = {}
    for pid in (pid for pid, name in names.items() if name == "spillway-form" and is_ours(pid)):
        try:
            found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return found


@pytest.fixture(params=["none", "process"], ids=["inside", "isolated"])
def house(request, start_gateway, client_of):
    secrets = {f"SPILLWAY_KEY_{tenant.upper()}": f"sk-spillway-{tenant}" for tenant in TENANTS}
    keys = {tenant: {"secret": f"env:SPILLWAY_KEY_{tenant.upper()}", "tenant": tenant} for tenant in TENANTS}
    local = configs.synthetic_engine(base="1ms", isolation=request.param)
    gateway = start_gateway(configs.gateway({"local": local}, keys=keys), **secrets)
    wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
    gateway.clients = {tenant: client_of(gateway, api_key=f"sk-spillway-{tenant}", timeout=60) for tenant in TENANTS}
    return gateway


def ask(client, schema, tokens=1):
    """Seconds until it is answered, and the error if that is one."""
    began, refused = time.monotonic(), None
    try:
        client.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=tokens, response_format={
            "type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})
    except openai.APIStatusError as error:
        refused = error
    return time.monotonic() - began, refused


def test_forms_that_take_all_they_may_hold_up_no_other_tenant(house):
    numbers = iter(range(10_000))

    def usual_forms(until):
        took = []
        while not until(took):
            seconds, refused = ask(house.clients["home"], usual(next(numbers)))
            assert refused is None, refused
            took.append(seconds)
        return took

    for tenant in TENANTS:  # All are connected, and what prepares forms has been started.
        assert ask(house.clients[tenant], usual(next(numbers)))[1] is None
    alone = usual_forms(lambda took: len(took) == 20)
    most = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = [pool.submit(ask, house.clients[tenant], schema) for tenant, schema in zip(TENANTS, HEAVY, strict=False)]
        wait_until(lambda: len(form_processes(house)) == len(HEAVY), seconds=10, what="work at all four")

        def is_over(_):
            nonlocal most
            most = max([most, *form_processes(house).values()])
            return any(one.done() for one in late)

        beside = usual_forms(is_over)
        refusals = [one.result() for one in late]
    for seconds, refused in refusals:
        assert isinstance(refused, openai.BadRequestError), refused
        assert "takes too long to prepare" in refused.message or "takes too much memory to prepare" in refused.message
        assert seconds < SECONDS_MAX + 10, "who is killed has the lowest priority at that, too"
    wait_until(lambda: not form_processes(house), seconds=10, what="an end of all work")
    for tenant in TENANTS:
        assert ask(house.clients[tenant], usual(next(numbers)))[1] is None
    print(f"usual forms: alone median {1e3 * statistics.median(alone):.0f} ms, most {1e3 * max(alone):.0f} ms; beside four "
          f"tenants' heavy ones median {1e3 * statistics.median(beside):.0f} ms, most {1e3 * max(beside):.0f} ms, of {len(beside)}; "
          f"the heavy ones refused after {', '.join(f'{seconds:.1f}' for seconds, _ in refusals)} s, at most {most >> 20} MiB each")
    assert len(beside) > 20
    assert statistics.median(beside) < 5 * statistics.median(alone) + 0.1  # Where two processors do it all.
    assert max(beside) < 5  # None waits for any of the heavy ones.
    assert most < BYTES_MAX + (300 << 20)


def test_what_compiles_forms_ends_with_the_gateway(house):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = pool.submit(ask, house.clients["east"], HEAVY[0])
        working = wait_until(lambda: form_processes(house), seconds=10, what="work at it")
        house.end()
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working), seconds=5, what="its end")
        late.exception()
