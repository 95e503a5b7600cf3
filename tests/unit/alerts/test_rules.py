"""The declared rules are complete and consistent."""

from __future__ import annotations

import pytest

from tillstream.alerts.rules import BY_NAME, RULES, Rule
from tillstream.config.settings import Settings, describe, plain_type

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


@every_rule
def test_the_threshold_of_every_rule_is_a_setting_that_can_be_zero(rule: Rule) -> None:
    assert plain_type(rule.setting) is int
    assert rule.default == getattr(Settings(), rule.setting) > 0
    assert describe(rule.setting).endswith("0: off")


@every_rule
def test_every_rule_has_its_texts(rule: Rule) -> None:
    assert rule.figure
    assert rule.help.endswith(".")
    assert rule.values
    assert rule.setting.rpartition("_")[2] in (rule.unit, "hour")


def test_rule_names_are_unique_and_rules_cover_only_later_ones() -> None:
    assert len(BY_NAME) == len(RULES)
    order = list(BY_NAME)
    for rule in RULES:
        assert all(order.index(other) > order.index(rule.name) for other in rule.covers)
