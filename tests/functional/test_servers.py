"""Several servers behind one target: prompts find their prefix caches, and one that dies is gone round."""
import concurrent.futures

import configs
from processes import get, send, as_client, wait_until


def several(start_provider, start_gateway, count=3, **settings):
    """A gateway with one target of `count` servers, and those servers."""
    servers = [start_provider("instant") for _ in range(count)]
    urls = [server.base_url for server in servers]
    target = configs.provider(urls, "vllm", breaker={"window": 4, "failures_min": 2}, **settings)
    classes = {"all": {"spill": "always", "providers": ["vllm"]}}
    return start_gateway(configs.gateway({"vllm": target}, classes=classes, default_class="all")), servers


def talk(client, user, turns, stream):
    """A conversation, whose every turn repeats all before it."""
    messages = [{"role": "system", "content": f"You are the assistant of {user}. " * 30}]
    answers = []
    for turn in range(turns):
        messages.append({"role": "user", "content": f"{user} asks for the {turn}. time."})
        answer = client.chat.completions.create(model="vllm", max_tokens=12, stream=stream, messages=messages)
        text = ("".join(chunk.choices[0].delta.content or "" for chunk in answer) if stream
                else answer.choices[0].message.content)
        answers.append(text)
        messages.append({"role": "assistant", "content": text})
    return answers


def sent_to(gateway, **labels):
    return gateway.metric("spillway_server_requests_total", be="vllm", **labels)


def address(server):
    return server.url.removeprefix("http://")


def test_conversations_find_their_server_again(start_provider, start_gateway, client_of):
    gateway, servers = several(start_provider, start_gateway)
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda user: talk(client, f"user {user}", 6, user % 2 == 0), range(24)))
    assert all(all(each) for each in answers)
    shares = [sent_to(gateway, server=address(server)) / 144 for server in servers]
    affine = sent_to(gateway, chosen="affine")
    print(f"\n24 conversations of 6 turns at 3 servers: {affine / 144:.0%} of the requests at a server that knew them "
          f"(5 of 6 can be), {', '.join(f'{share:.0%}' for share in shares)} at each")
    assert affine / 144 >= 0.8
    assert sum(shares) == 1 and min(shares) > 0, "where a conversation begins is a matter of chance"


def test_one_that_dies_is_gone_round(start_provider, start_gateway, client_of):
    gateway, servers = several(start_provider, start_gateway)
    client = client_of(gateway)
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        talks = [pool.submit(talk, client, f"user {user}", 6, user % 2 == 0) for user in range(48)]
        wait_until(lambda: gateway.metric("spillway_requests_total") > 60, what="the run being under way")
        servers[0].end()
        answers = [each.result() for each in talks]
    assert all(all(each) for each in answers) and sum(map(len, answers)) == 288
    failed = gateway.metric("spillway_requests_total") - gateway.metric("spillway_requests_total", code="2xx")
    left = [sent_to(gateway, server=address(server)) for server in servers]
    print(f"\n288 requests, one of 3 servers killed on the way: {failed:.0f} client errors, "
          f"{', '.join(f'{share:.0f}' for share in left)} requests at each")
    assert failed == 0
    assert gateway.metric("spillway_server_up", server=address(servers[0])) == 0
    assert gateway.metric("spillway_backend_up", be="vllm") == 1


def test_a_server_that_refuses_is_passed_over_within_the_attempt(start_provider, start_gateway, client_of):
    gateway, servers = several(start_provider, start_gateway, count=2)
    servers[0].script(faults=[{"kind": "error", "share": 1.0, "after_seconds": 0.0}])
    client = client_of(gateway)
    for number in range(4):
        assert talk(client, f"somebody else {number}", 1, True)[0]
    decisions = wait_until(lambda: len(gateway.decisions(4)) == 4 and gateway.decisions(4), what="the decisions")
    rounds = [one for one in decisions if len(one["attempts"]) > 1]
    assert rounds, "nobody met the server that fails"
    for one in rounds:
        assert [each["target"] for each in one["attempts"]] == ["vllm", "vllm"]
        assert [each["server"] for each in one["attempts"]] == [address(server) for server in servers]
    text = get(f"{gateway.admin}/explain/{rounds[0]['id']}")[1]
    assert f"vllm at {address(servers[0])}" in text and f"then vllm at {address(servers[1])}" in text


def test_all_of_them_down_is_the_target_down(start_provider, start_gateway):
    gateway, servers = several(start_provider, start_gateway, count=2)
    for server in servers:
        server.end()
    body = {"model": "vllm", "max_tokens": 4, "messages": [{"role": "user", "content": "Is anybody there?"}]}
    status, _, answer = send(f"{gateway.api}/chat/completions", "POST", body, as_client())
    assert status == 502, answer
    decision = wait_until(lambda: gateway.decisions(1), what="the decision")[0]
    assert {each["server"] for each in decision["attempts"] if "server" in each} == {address(s) for s in servers}


def test_two_that_are_silent_are_enough(start_upstream, start_gateway):
    silent = [start_upstream(lambda asked: lambda handler: handler.wait_until_left()) for _ in range(4)]
    target = configs.provider([server.base_url for server in silent], "vllm", timeouts={"first_token": "500ms"})
    gateway = start_gateway(configs.gateway({"vllm": target}, classes={"all": {"spill": "always"}}, default_class="all"))
    body = {"model": "vllm", "stream": True, "messages": [{"role": "user", "content": "Hello."}]}
    assert send(gateway.api + "/chat/completions", "POST", body, as_client())[0] == 502
    assert sum(len(server.asked) for server in silent) == 2
