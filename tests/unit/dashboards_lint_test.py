#!/usr/bin/env python3
"""The dashboards are what generate.py writes, and its lint sees each kind of mistake."""
import copy
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dashboards"))

import generate  # noqa: E402
import lint  # noqa: E402

KNOWN = lint.read_series(generate.SERIES.read_text(encoding="utf-8"))


class Lint(unittest.TestCase):
    def setUp(self):
        self.boards = copy.deepcopy(generate.generate())
        self.board = self.boards["overview.json"]
        self.panel = lint.panels_of(self.board)[0]

    def assert_seen(self, words):
        problems = lint.check_board(self.board, KNOWN)
        self.assertTrue(any(words in problem for problem in problems), problems)

    def ask(self, expression):
        self.panel["targets"][0]["expr"] = expression

    def test_the_checked_in_dashboards_are_good_and_up_to_date(self):
        self.assertEqual(generate.problems_of(self.boards), [])
        self.assertEqual(list(generate.out_of_date(self.boards)), [])

    def test_a_changed_board_is_out_of_date(self):
        self.board["title"] = "edited by hand"
        self.assertEqual(len(list(generate.out_of_date(self.boards))), 1)

    def test_a_series_that_nobody_exports(self):
        self.ask('sum (rate(spillway_requets_total{job=~"$job"}[1m]))')
        self.assert_seen("nothing exports spillway_requets_total")

    def test_a_part_of_a_histogram_that_is_none(self):
        self.ask('sum (rate(spillway_requests_total_bucket{job=~"$job"}[1m]))')
        self.assert_seen("nothing exports spillway_requests_total_bucket")

    def test_a_label_that_the_series_lacks(self):
        self.ask('sum (rate(spillway_requests_total{job=~"$job",tenant="a"}[1m]))')
        self.assert_seen("spillway_requests_total has no label tenant")

    def test_a_counter_without_a_rate(self):
        self.ask('sum (spillway_requests_total{job=~"$job"})')
        self.assert_seen("take its rate")

    def test_a_query_that_ignores_the_variables(self):
        self.ask("sum (spillway_queue_depth)")
        self.assert_seen("not selected by job and instance")

    def test_a_panel_without_unit_description_or_legend(self):
        self.panel["fieldConfig"]["defaults"]["unit"] = ""
        self.assert_seen("no unit")
        self.panel["description"] = "requests"
        self.assert_seen("a description says")
        self.panel["targets"][0]["legendFormat"] = ""
        self.assert_seen("without legend")

    def test_a_datasource_of_one_grafana_only(self):
        self.panel["datasource"] = {"type": "prometheus", "uid": "P1809F7CD0C75ACF3"}
        self.assert_seen("datasource is not the variable")

    def test_panels_that_overlap_or_leave_the_grid(self):
        self.panel["gridPos"]["x"] += 1
        self.assert_seen("overlaps")
        self.panel["gridPos"]["x"] = 23
        self.assert_seen("wider than the grid")

    def test_two_panels_with_one_id(self):
        self.panel["id"] = self.board["panels"][-1]["id"]
        self.assert_seen("share an id")

    def test_an_exported_series_without_a_panel(self):
        known = {**KNOWN, "spillway_new_total": ("counter", set())}
        self.assertEqual(list(lint.check_coverage(self.boards.values(), known)), ["no panel shows spillway_new_total"])


if __name__ == "__main__":
    unittest.main()
