"""What the local engine's answers cost: the time that they took of it, whoever else is answered meanwhile."""
import concurrent.futures
import threading
import time

import pytest

import configs
from processes import as_client, send, wait_until
from test_money import book

HELLO = [{"role": "user", "content": "Hello there."}]
SECOND = 10**9  # In nano-USD: an hour costs 3,600 USD.


@pytest.fixture
def house(start_gateway, client_of, tmp_path):
    """A gateway whose engine costs a dollar a second, and how to ask it."""
    def serve(**settings):
        engine = configs.synthetic_engine(base="20ms", per_sequence="1ms", cost_per_hour="3600usd", **settings)
        config = configs.gateway({"local": engine})
        config["server"]["state"] = str(tmp_path / "state")
        gateway = start_gateway(config)
        wait_until(lambda: gateway.metric("spillway_backend_up", be="local") == 1, what="the engine")
        return gateway, client_of(gateway).chat.completions.create
    return serve


def seconds_booked(tmp_path, count):
    rows = wait_until(lambda: (found := book(tmp_path, "SELECT amount, estimated FROM entries")) and len(found) == count and found,
                      what=f"{count} entries")
    assert not any(estimated for _, estimated in rows)
    return sum(amount for amount, _ in rows) / SECOND


def seconds_worked(gateway):
    return gateway.metric("spillway_engine_step_seconds_sum")


@pytest.mark.parametrize("settings, engines", [({}, 1), ({"isolation": "process"}, 1), ({"replicas": 2}, 2)],
                         ids=["one", "process", "replicas"])
def test_who_is_answered_together_pays_no_more_than_the_time(house, tmp_path, settings, engines):
    gateway, create = house(**settings)
    ask = lambda _: create(model="smollm2", messages=HELLO, max_tokens=30)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    booked = seconds_booked(tmp_path, 8)
    worked = wait_until(lambda: seconds_worked(gateway) > 0 and seconds_worked(gateway), what="its steps") / engines
    assert 0.8 * worked < booked <= worked


def test_the_choices_of_one_answer_pay_no_more_than_the_time(house, tmp_path):
    gateway, create = house()
    began = time.monotonic()
    answer = create(model="smollm2", messages=HELLO, max_tokens=30, n=8, stream=False)
    took = time.monotonic() - began
    assert len(answer.choices) == 8
    booked = seconds_booked(tmp_path, 1)
    assert 0.8 * seconds_worked(gateway) < booked <= min(took, seconds_worked(gateway))


def test_each_pays_for_the_others_that_were_there_when_it_was(house, tmp_path):
    """One answers alone, then beside seven others: it pays a share of the steps then."""
    gateway, create = house()
    create(model="smollm2", messages=HELLO, max_tokens=40)
    alone = seconds_booked(tmp_path, 1)
    long_one = threading.Thread(target=create, kwargs={"model": "smollm2", "messages": HELLO, "max_tokens": 40})
    others = [threading.Thread(target=create, kwargs={"model": "smollm2", "messages": HELLO, "max_tokens": 60}) for _ in range(7)]
    for thread in [*others, long_one]:
        thread.start()
    for thread in [*others, long_one]:
        thread.join()
    seconds_booked(tmp_path, 9)
    amounts = [amount / SECOND for amount, in book(tmp_path, "SELECT amount FROM entries ORDER BY completion, amount")]
    assert amounts[0] < 0.6 * alone and sum(amounts) <= seconds_worked(gateway)


@pytest.mark.parametrize("pace", [{"per_context_token": "0.001ms"}, {"base": "10ms"}], ids=["long contexts", "many steps"])
def test_what_is_held_for_long_prompts_suffices(start_gateway, tmp_path, pace):
    """Of a burst a budget lets no more through than it can pay, nor does a hard one pay less than the time."""
    prior = {"base": "2ms", "per_sequence": "0.1ms", "per_prefill_token": "0.001ms", "per_context_token": "0ms", **pace}
    engine = {**configs.synthetic_engine(cost_per_hour="3600usd", context_max=65536, kv_tokens_max=400_000), "step_prior": prior}
    keys = {name: {"secret": f"env:{name.upper()}_KEY", "tenant": name, "budget": {"day": day, "hard": name == "hard"}}
            for name, day in (("soft", "2usd"), ("hard", "100usd"))}
    config = configs.gateway({"local": engine}, keys=keys)
    config["server"]["state"] = str(tmp_path / "state")
    gateway = start_gateway(config, SOFT_KEY="sk-soft", HARD_KEY="sk-hard")
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "word " * 20_000}], "max_tokens": 20, "ignore_eos": True}
    ask = lambda key: send(gateway.api + "/chat/completions", "POST", body, as_client(key=key), timeout=60)[0]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, ["sk-soft"] * 8))
    assert 1 <= statuses.count(200) < 8 and set(statuses) <= {200, 429}
    wait_until(lambda: len(book(tmp_path, "SELECT 1 FROM entries")) == statuses.count(200), what="the entries")
    assert sum(amount for amount, in book(tmp_path, "SELECT amount FROM entries")) / SECOND <= 2.2
    before = seconds_worked(gateway)
    assert ask("sk-hard") == 200
    [(amount,)] = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries WHERE tenant = 'hard'"), what="its entry")
    assert amount / SECOND > 0.9 * (seconds_worked(gateway) - before)


def test_who_leaves_pays_for_what_it_had(house, tmp_path):
    _, create = house()
    stream = create(model="smollm2", messages=HELLO, max_tokens=90, stream=True)
    for _ in range(20):
        next(stream)
    stream.close()
    [(amount,)] = wait_until(lambda: book(tmp_path, "SELECT amount FROM entries"), what="the entry")
    assert 20 * 0.02 * 0.8 < amount / SECOND < 80 * 0.021


def test_who_leaves_before_the_first_word_pays_for_what_was_read(house, tmp_path):
    gateway, _ = house(context_max=65536, kv_tokens_max=400_000, step_tokens_max=512)
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "word " * 20_000}], "max_tokens": 5, "stream": True}
    before = seconds_worked(gateway)
    with pytest.raises(TimeoutError):
        send(gateway.api + "/chat/completions", "POST", body, as_client(), timeout=1)
    [(amount, estimated)] = wait_until(lambda: book(tmp_path, "SELECT amount, estimated FROM entries"), what="the entry")
    assert 0.5 < amount / SECOND <= seconds_worked(gateway) - before
    assert estimated, "nobody knows how much of the prompt was read"
