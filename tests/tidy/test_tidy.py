"""Each house rule finds the sin it is there for, and leaves good code alone."""
import tidy


def messages(check, path, text):
    return [message for _, message in check(path, text)]


def test_beast_has_one_room():
    include = "#include <boost/beast/http.hpp>\n"
    assert messages(tidy.check_walls, "gateway/request/pipeline.cpp", include)
    assert not messages(tidy.check_walls, "gateway/http/session.cpp", include)
    assert messages(tidy.check_walls, "gateway/http/session.h", include)


def test_policy_is_pure():
    assert messages(tidy.check_walls, "gateway/policy/router.cpp", "#include <boost/asio/post.hpp>\n")
    assert messages(tidy.check_walls, "gateway/policy/router.cpp", "#include <thread>\n")
    assert not messages(tidy.check_walls, "gateway/policy/router.cpp", '#include "backends/contract/status.h"\n')


def test_siblings_do_not_meet():
    assert messages(tidy.check_walls, "gateway/openai/errors.cpp", '#include "gateway/policy/router.h"\n')
    assert messages(tidy.check_walls, "backends/cloud/transfer.cpp", '#include "backends/local/engine/engine.h"\n')
    assert messages(tidy.check_walls, "config/load.cpp", '#include "gateway/request/receipt.h"\n')
    assert messages(tidy.check_walls, "gateway/request/pipeline.cpp", '#include "backends/cloud/cloud_backend.h"\n')
    assert not messages(tidy.check_walls, "gateway/house.cpp", '#include "backends/cloud/cloud_backend.h"\n')
    assert messages(tidy.check_walls, "gateway/simulate/trace.cpp", '#include "gateway/policy/router.h"\n')
    assert not messages(tidy.check_walls, "gateway/simulate/cloud.h", '#include "backends/simulated/profile.h"\n')


def test_nothing_is_built_inside_co_await():
    assert messages(tidy.check_coroutines, "gateway/a.cpp", "co_await f(Options{1});\n")
    assert messages(tidy.check_coroutines, "gateway/a.cpp", "auto x = co_await f(\n    {.a = 1});\n")
    assert messages(tidy.check_coroutines, "gateway/a.cpp", "co_await f([s] { return s; });\n")
    assert not messages(tidy.check_coroutines, "gateway/a.cpp", "co_await f(options, std::move(x)[0]);\n")
    assert not messages(tidy.check_coroutines, "gateway/a.cpp", "// co_await f(Options{1});\n")
    assert not messages(tidy.check_coroutines, "gateway/a.cpp", 'co_await f("{");\n')


def test_lambda_coroutines_do_not_capture():
    sin = "auto f = [this](int a) -> net::awaitable<void> { co_return; };\n"
    assert messages(tidy.check_coroutines, "gateway/a.cpp", sin)
    assert not messages(tidy.check_coroutines, "gateway/a.cpp", sin.replace("this", ""))


def test_co_spawn_has_few_homes():
    assert messages(tidy.check_coroutines, "gateway/request/relay.cpp", "net::co_spawn(a, b, c);\n")
    assert not messages(tidy.check_coroutines, "gateway/http/listener.cpp", "net::co_spawn(a, b, c);\n")


def test_sizes():
    assert messages(tidy.check_sizes, "gateway/a.cpp", "x\n" * 501)
    assert not messages(tidy.check_sizes, "gateway/a.cpp", "x\n" * 500)
    assert messages(tidy.check_sizes, "gateway/request/pipeline.cpp", "x\n" * 201)
    assert messages(tidy.check_sizes, "gateway/a.cpp", "x" * 101 + "\n")


def test_function_lengths(tmp_path):
    (tmp_path / "long.cpp").write_text("int f() {\n" + "  g();\n" * 80 + "}\n")
    assert [f for f in tidy.check_function_lengths(tmp_path, ["long.cpp"])]


def test_words_and_names():
    assert messages(tidy.check_words, "gateway/a.cpp", "// TODO later\n")
    assert not messages(tidy.check_words, "gateway/a.cpp", "// TODO(#12): later\n")
    assert messages(tidy.check_words, "deploy/a.sh", "cd /work/main\n")
    assert messages(tidy.check_names, "gateway/utils/strings.h", "")
