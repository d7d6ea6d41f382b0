"""A conversation goes back to the provider that has its beginning in its cache, since it is cheaper there."""
import configs
from processes import get, wait_until

PRICE = {"input": "2usd", "output": "2usd", "cached_input": "0.2usd"}
ALL = {"all": {"spill": "always"}}
WORDS = "The quick brown fox jumps over the lazy dog, and says so again and again. "


def two_providers(start_provider, start_gateway, *flags, **price):
    providers = {name: start_provider("instant", *flags) for name in ("first", "second")}
    targets = {name: configs.provider(p.base_url, name, price_per_million={**PRICE, **price})
               for name, p in providers.items()}
    return start_gateway(configs.gateway(targets, classes=ALL, default_class="all")), providers


def turn(client, talk, text):
    """Asks on; who answered, how much of it was cached, and the request's id."""
    talk.append({"role": "user", "content": text})
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=talk, max_tokens=30)
    answer = raw.parse()
    talk.append({"role": "assistant", "content": answer.choices[0].message.content})
    return raw.headers["x-spillway-target"], answer.usage.prompt_tokens_details.cached_tokens, raw.headers["x-request-id"]


def test_a_conversation_stays_at_one_provider(start_provider, start_gateway, client_of):
    gateway, providers = two_providers(start_provider, start_gateway, "--prefix-cache")
    client = client_of(gateway)
    talk = []
    # Its first turn fails at the first provider: from then on its beginning is at the second alone.
    providers["first"].script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 0, "status": 500}])
    assert turn(client, talk, WORDS * 20)[0] == "second"
    providers["first"].script()
    turns = [turn(client, talk, f"And then? Turn {number}. " + WORDS) for number in range(2, 7)]
    assert [target for target, _, _ in turns] == ["second"] * 5
    assert all(cached > 300 for _, cached, _ in turns)
    assert providers["second"].stats()["cached_tokens"] == sum(cached for _, cached, _ in turns)
    told = wait_until(lambda: get(f"{gateway.admin}/explain/{turns[-1][2]}")[1], what="the decision")
    assert " cached, $" in told
    assert turn(client, [], "Something else. " + WORDS * 20)[0] == "first", "the order of the file, at one price"


def test_who_bills_nothing_as_cached_has_no_discount(start_provider, start_gateway, client_of):
    gateway, providers = two_providers(start_provider, start_gateway)
    client = client_of(gateway)
    expected = []
    for number in range(12):
        talk = []
        for text in ("one", "two", "three"):
            _, _, name = turn(client, talk, f"{number} {text}. " + WORDS * 20)
        told = wait_until(lambda: get(f"{gateway.admin}/explain/{name}")[1], what="the decision")
        found = [int(part.split()[0]) for part in told.split(", ") if part.split()[1:2] == ["cached"]]
        expected.append(max(found, default=0))
    assert expected[0] > 300 and expected[-1] < expected[0] / 4
