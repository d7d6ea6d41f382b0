#!/usr/bin/env python3
"""One planted bug for each invariant of the ledger, budgets, limits and guessed tokens: every one must turn a test red.

planted.py BUILD_DIRECTORY    plants each in turn, builds and runs its test, and puts the source back
planted.py --check            says whether each still has its place in the source
"""
import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What must hold; the file, what stands there, what is planted; the test that must notice.
PLANTED = [
    ("an id is booked once", "account/sqlite_journal.cpp", "if (database_.changed() == 0) {", "if (false) {", "account_ledger"),
    ("debits are credits", "account/sums.cpp", ".credits += leg.amount;", ".credits += leg.amount + 1;", "account_ledger"),
    ("hours are the sum of entries", "account/sums.cpp", "hour.requests += index == 0 ? 1 : 0;", "hour.requests += 1;",
     "account_ledger"),
    ("what was acknowledged is booked after a kill", "account/ledger.cpp", "if (whole) settled.push_back({&slot, true});", "",
     "account_ledger"),
    ("acknowledged is what stands in the outbox", "account/ledger.cpp",
     "slot.state.store(SlotState::settled, std::memory_order_release);\n  const",
     "if (lag_ < 0) slot.state.store(SlotState::settled, std::memory_order_release);\n  const", "account_ledger"),
    ("half a slot is no entry", "account/ledger.cpp", "&& slot.checksum == checksum_of(slot);", ";", "account_ledger"),
    ("a place is free again", "account/ledger.cpp", "outbox_->give_back(due_[i]);", "", "account_ledger"),
    ("a full disk is tried again", "account/ledger.cpp", "if (!booked) return;", "if (!booked) { due_.clear(); return; }",
     "account_ledger"),
    ("a long hold leaves a trace", "account/ledger.cpp", "    write_old_holds();\n", "", "account_ledger"),
    ("what is in doubt costs nothing", "account/sqlite_journal.cpp", "1, 0, 0, 0, 0, 0, held, 0", "1, 0, 0, 0, 0, held, held, 0", "account_ledger"),
    ("money is put aside", "account/purse.cpp", "std::max<NanoUsd>(0, room - held)", "std::max<NanoUsd>(0, room)", "account_budget"),
    ("what was put aside comes back", "account/purse.cpp", "state->held -= aside;", "state->held -= 0 * aside;", "account_budget"),
    ("what was spent stays spent over a restart", "account/account.cpp",
     "purse->correct(spent.day, spent.month, now, spent.request_class);",
     "purse->correct(0 * spent.day, 0 * spent.month, now, spent.request_class);", "account_budget"),
    ("the key's budget counts", "account/account.cpp", "hold.key_->put_aside(of_key, least,", "hold.key_->put_aside(of_key.hard ? kNoBudget : kNoBudget, least,",
     "account_budget"),
    ("a month is no day", "account/purse.cpp", "if (!months.are_right(now))", "if (!days.are_right(now))", "account_budget"),
    ("a class has no more than its share", "account/purse.cpp", "if (share.max && !answer.refusal) {", "if (false) {", "account_budget"),
    ("an answer that did not arrive is given once", "replay/lost_answers.cpp", "  forget(found);\n  return answer;", "  return answer;",
     "replay"),
    ("a repeated entry is not spent", "account/account.cpp", "amount -= slot.legs[i].amount;", "amount -= 0;", "account_budget"),
    ("the told time is exact", "policy/gcra.cpp", "Nanoseconds(after - at - kMinute)", "Nanoseconds(after - at - kMinute - 1)",
     "account_limiter"),
    ("what is refused counts nowhere", "account/limiter.cpp", "correct(rate, -std::min(amount, rate));", "correct(rate, 0 * amount);",
     "account_limiter"),
    ("places come back", "account/limiter.cpp", "place.state->under_way.fetch_sub(1", "place.state->under_way.fetch_sub(0",
     "account_limiter"),
    ("batches are counted apart", "account/limiter.cpp", "states_[static_cast<std::size_t>(pool)]",
     "states_[0 * static_cast<std::size_t>(pool)]", "account_limiter"),
    ("who left is billed what had passed", "request/parts.cpp", "std::max(passed, part.usage.completion_tokens);",
     "std::max(0 * passed, part.usage.completion_tokens);", "parts"),
    ("a hard budget reckons with what is thought unseen", "request/order.cpp", "std::max(usage.completion_tokens, granted);",
     "std::max(usage.completion_tokens, 0 * granted);", "tab"),
    ("a hard budget reckons with the most of a prompt", "request/order.cpp", "std::max(usage.prompt_tokens, prompt);",
     "std::max(usage.prompt_tokens, 0 * prompt);", "tab"),
    ("what was never read is no request", "account/limiter.cpp", "give_back(LimitKind::requests, std::exchange(begun_, 0), 1);",
     "begun_ = 0;", "account_limiter"),
    ("a request is counted once", "account/limiter.cpp", "pass.begun_ = 0;", "", "account_limiter"),
    ("what nobody counted takes no limit's tokens", "request/parts.cpp", " - part.supposed_tokens;", ";", "parts"),
    ("what came after the last count is billed", "request/parts.cpp", " && part.pieces == part.pieces_told &&", " &&",
     "parts"),
    ("only what was served at the batch rate is booked at it", "policy/price.cpp", "if (usage.at_batch_rate)", "if (true)",
     "policy_price"),
    ("a search that nobody told of is billed", "request/parts.cpp", "std::max(part.searches_told, part.searches);",
     "std::max(part.searches_told, 0 * part.searches);", "parts"),
    ("a search that failed is not billed", "../backends/cloud/dialects/anthropic_answer.cpp",
     '"web_search_tool_result_error" ? -1 : 0;', '"web_search_tool_result_error" ? 0 : 0;', "cloud_usage"),
    ("each go of an answer is billed", "../backends/cloud/dialects/anthropic_answer.cpp", "prompt.fresh += count(", "prompt.fresh = count(",
     "cloud_usage"),
    ("what is put into a cache has its price", "../backends/cloud/dialects/openai_usage.cpp",
     "usage.cache_written_tokens = prompt.cache_written;", "usage.cache_written_tokens = 0 * prompt.cache_written;", "cloud_usage"),
    ("a credit is not counted twice", "../backends/cloud/dialects/anthropic_answer.cpp", "std::min(prompt_.written_1h, told.written);",
     "prompt_.written_1h;", "cloud_usage"),
    ("a cache that is counted beside the prompt is part of it", "../backends/cloud/dialects/openai_usage.cpp",
     "usage.prompt_tokens += static_cast<int>(beside);", "(void)beside;", "cloud_usage"),
    ("a part is no more than its whole", "../backends/cloud/dialects/openai_usage.cpp", "usage.contradictory |= part > whole;", "", "cloud_usage"),
    ("counts that contradict each other are no exact cost", "request/tab.cpp", "part.estimated |= part.usage.contradictory;", "(void)part;", "tab"),
    ("of a field given twice the last is told", "../backends/cloud/dialects/members.cpp", "known->value = member->value;", "",
     "cloud_anthropic"),
    ("a ranking costs each of its units", "policy/price.cpp", "std::exchange(price.per_request, 0);",
     "0 * std::exchange(price.per_request, 0);", "tab"),
    ("thoughts told twice cost once", "../backends/cloud/written_bytes.cpp",
     "*std::max_element(told_.begin() + kReasoning, told_.end());", "told_[1] + told_[2] + told_[3];", "cloud_written"),
    ("what broke off is counted by its target's words", "request/parts.cpp", "/ part.bytes_per_token,", "/ (0 * part.bytes_per_token + 4.0),", "parts"),
    ("units that nobody counted are reckoned", "request/order.cpp", "part.usage_told ? 1 : search_units;", "1;", "tab"),
    ("a long prompt has its price", "policy/price.cpp", "return cost_of(at_length(price, prompt), usage);",
     "(void)prompt;", "policy_price"),
    ("a long prompt is held at its price", "policy/price.cpp", "if (is_long(price, prompt_tokens))\n    return worst",
     "if (false)\n    return worst", "policy_price"),
    ("what is asked otherwise is no exact cost", "request/tab.cpp", "part.estimated = part.charged_otherwise = true;",
     "part.charged_otherwise = true;", "tab"),
    ("a broken answer keeps its tier's price", "request/parts.cpp",
     "if (delta.at_batch_rate) part.usage.at_batch_rate = *delta.at_batch_rate;", "", "parts"),
    ("a search costs in any tier", "policy/price.cpp", " + part_of_searches(usage, price)", " + 0 * part_of_searches(usage, price)",
     "policy_price"),
    ("who comes too soon is told to wait", "replay/first_answers.cpp",
     "if (!entry->second.answer) return {State::busy, {}, nullptr};", "", "replay"),
    ("another request does not get the first one's answer", "replay/first_answers.cpp",
     "if (entry->second.fingerprint != fingerprint)", "if (false)", "replay"),
    ("a filter leaves others' usage out", "account/usage.cpp", "if (!is_wanted(row, question.by.size(), question.only)) continue;",
     "(void)is_wanted(row, question.by.size(), question.only);", "admin_usage"),
    ("what is filtered is added up", "account/usage.cpp", "rows.back().*number += row.*number;", "rows.back().*number = row.*number;",
     "admin_usage"),
    ("a ranking is no answer", "account/usage.cpp", "'/v2/rerank', ", "", "admin_usage"),
    ("a draft is nobody's until it is confirmed", "../backends/local/sched/scheduler.cpp",
     "sequence.computed += slice.tokens - slice.drafts;", "sequence.computed += slice.tokens;", "local_schedules"),
    ("no prompt waits for drafts", "../backends/local/sched/scheduler.cpp", "if (plan.size() == decodes) plan_drafts",
     "if (plan.size() >= decodes) plan_drafts", "local_schedules"),
    ("drafts have blocks", "../backends/local/sched/scheduler.cpp", "drafts = std::min(drafts, held - sequence.length);",
     "drafts = std::min(drafts, held);",
     "local_schedules"),
    ("drafts count in the step's budget", "../backends/local/sched/scheduler.cpp", "budget -= drafts;", "", "local_schedules"),
    ("an old draft is not tried", "../backends/local/sched/scheduler.cpp", "    sequence.drafts = 0;\n", "", "local_schedules"),
    ("no draft lies behind the last token", "../backends/local/sched/scheduler.cpp", "std::min({sequence.drafts, left, budget})",
     "std::min({sequence.drafts, left + budget, budget})", "local_schedules"),
    ("what was guessed wrong is not said", "../backends/local/engine/engine_steps.cpp", "left > 0 && sequence.is_drafted(token);",
     "left > 0;", "local_drafts"),
    ("a batch's line is in its results once", "batch/batch_store.cpp", "auto written = file->cut(whole);",
     "Result<void> written;", "batch"),
    ("what is held in memory is no more than a tenant's quarter", "byte_room.cpp", "own + bytes > bytes_max / 4", "false", "byte_room"),
    ("what is held in memory is no more than there is", "byte_room.cpp", "all + bytes > bytes_max", "false", "byte_room"),
    ("what was held in memory is free again", "byte_room.cpp", "taken->second -= bytes;", "taken->second -= 0 * bytes;", "byte_room"),
    ("files take their tenant's room", "files/shelf.cpp", "room->kept += weight(bytes);", "room->kept += 0 * weight(bytes);", "files_store"),
    ("a file that nobody has leaves the disk", "files/upload_store.cpp", "store_.files_.uncount(*kept);", "", "files_store"),
]


def places(name, old):
    return (ROOT / "gateway" / name).read_text(encoding="utf-8").count(old)


def is_red(build, test):
    made = subprocess.run(["ninja", "-C", str(build), f"{test}_test"], capture_output=True, text=True, check=False)
    if made.returncode:
        return "does not compile: " + made.stdout[-2000:]
    try:
        ran = subprocess.run([build / f"tests/unit/{test}_test"], capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        return True
    return ran.returncode != 0


def plant(build, invariant, name, old, new, test):
    path = ROOT / "gateway" / name
    source = path.read_text(encoding="utf-8")
    if places(name, old) != 1:
        return f"stands {places(name, old)} times in {name}: {old}"
    try:
        path.write_text(source.replace(old, new), encoding="utf-8")
        return is_red(build, test)
    finally:
        path.write_text(source, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, nargs="?")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if asked.check:
        lost = [f"{places(name, old)} times in {name}: {old}" for _, name, old, *_ in PLANTED if places(name, old) != 1]
        print("\n".join(lost) or f"{len(PLANTED)} bugs have a place")
        return 1 if lost else 0
    if asked.build is None:
        parser.error("which build directory?")
    build = asked.build.resolve()
    missed = 0
    for invariant, name, old, new, test in PLANTED:
        verdict = plant(build, invariant, name, old, new, test)
        print(f"{'red' if verdict is True else 'MISSED' if verdict is False else verdict:8} {invariant}", flush=True)
        missed += verdict is not True
    for test in sorted({test for *_, test in PLANTED}):
        assert is_red(build, test) is False, f"{test} is red without a bug"
    print(f"{len(PLANTED)} planted, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
