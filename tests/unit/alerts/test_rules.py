"""The rules are whole: each has its setting, its words, and covers only rules that there are."""

from __future__ import annotations

import pytest

from tillstream.alerts.rules import BY_NAME, RULES, Rule
from tillstream.config.settings import Settings, describe, plain_type

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@every_rule
def test_every_rule_has_a_threshold_among_the_settings_that_can_be_off(rule: Rule) -> None:
    assert plain_type(rule.setting) is int
    assert rule.default == getattr(Settings(), rule.setting) > 0
    assert describe(rule.setting).endswith("0: off")


@every_rule
def test_every_rule_says_what_it_compares_and_when(rule: Rule) -> None:
    assert rule.figure
    assert rule.help.endswith(".")
    assert rule.values
    assert rule.setting.rpartition("_")[2] in (rule.unit, "hour")


def test_no_two_rules_have_one_name_and_each_covers_rules_behind_it() -> None:
    assert len(BY_NAME) == len(RULES)
    order = list(BY_NAME)
    for rule in RULES:
        assert all(order.index(other) > order.index(rule.name) for other in rule.covers)
