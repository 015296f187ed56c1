"""From which confidence on a server answers, and what it does below."""

import pytest

from nescio.errors import ConfigError, StoreError
from nescio.serve.policy import Policy, Rule, judge, load_policy


def rule(**fields):
    """A rule as a policy file would have it."""
    return Rule.model_validate(fields)


def decide(given, *, decision="correct", confidence=0.6, raw=0.5, guaranteed=None):
    """Action, threshold and who decided."""
    told = judge(given, decision=decision, confidence=confidence, raw=raw, guaranteed=guaranteed)
    return told.action, told.threshold, told.decided_by


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (rule(threshold=0.6), ("answer", 0.6, "threshold")),
        (rule(threshold=0.61), ("hedge", 0.61, "threshold")),
        (rule(threshold=0.61, below="refuse"), ("refuse", 0.61, "threshold")),
        (rule(threshold=0.0), ("answer", 0.0, "threshold")),
        # Worth it from (r + c) / (1 + c) on: by hand, c = 1 gives 0.5, c = 9 gives 0.9, and 0.2 for abstaining lifts 0.5 to 0.6.
        (rule(costs={"wrong": 1}), ("answer", 0.5, "costs")),
        (rule(costs={"wrong": 9}), ("hedge", 0.9, "costs")),
        (rule(costs={"wrong": 1, "abstain": 0.2}), ("answer", 0.6, "costs")),
    ],
)
def test_calibrated_confidence_is_held_against_the_threshold(given, expected):
    """At the threshold itself the answer is given."""
    assert decide(given) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("decision", "below", "action"),
    [
        ("correct", "refuse", "answer"),
        ("uncertain", "hedge", "hedge"),
        ("uncertain", "refuse", "refuse"),
        ("refuse", "hedge", "refuse"),
        ("refuse", None, "refuse"),
    ],
)
def test_without_a_threshold_the_models_own_decision_stands(decision, below, action):
    """However confident it is."""
    assert decide(rule(below=below), decision=decision, confidence=0.01) == (action, None, "model")


def test_a_guaranteed_threshold_is_of_raw_confidence():
    """The promise was made for it; where the run could promise nothing, nothing is answered."""
    wanted = rule(threshold="guaranteed")

    assert decide(wanted, raw=0.5, guaranteed=0.5) == ("answer", 0.5, "guaranteed")
    assert decide(wanted, raw=0.49, confidence=0.99, guaranteed=0.5)[0] == "hedge"
    assert decide(wanted, raw=1.0, guaranteed=None) == ("hedge", None, "guaranteed")


@pytest.mark.parametrize("confidence", [None, float("nan")])
def test_without_a_confidence_nothing_is_answered(confidence):
    """Not even at a threshold of 0."""
    assert decide(rule(threshold=0.0), confidence=confidence)[0] == "hedge"


def test_a_request_goes_before_its_key_and_that_before_the_policy():
    """What one leaves open is taken from the next; a threshold takes the place of costs, and the other way round."""
    policy, key = rule(threshold=0.9, below="refuse"), rule(costs={"wrong": 3})

    assert key.over(policy) == rule(costs={"wrong": 3}, below="refuse")
    assert rule(threshold=0.1).over(key.over(policy)) == rule(threshold=0.1, below="refuse")
    assert rule(below="hedge").over(policy) == rule(threshold=0.9, below="hedge")


def test_a_policy_file_is_read(tmp_path):
    """Keys are known by their digests alone."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "rule: {threshold: guaranteed, below: refuse}\nrefusal: No.\nkeys:\n- {name: ops, sha256: " + "a" * 64 + "}\n"
    )
    policy = load_policy(path)

    assert (policy.rule.threshold, policy.refusal, policy.keys[0].name) == ("guaranteed", "No.", "ops")
    assert load_policy(_written(tmp_path / "empty.yaml", "")) == Policy()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule: {treshold: 0.5}", "rule.treshold"),
        ("rule: {threshold: .nan}", "rule.threshold"),
        ("rule: {threshold: -0.1}", "rule.threshold"),
        ("rule: {threshold: 0.5, costs: {wrong: 1}}", "a threshold or costs, not both"),
        ("rule: {costs: {wrong: -1}}", "rule.costs.wrong"),
        ("rule: {below: queue}", "rule.below"),
        ("keys: [{name: a, sha256: secret}]", "keys.0.sha256"),
        (f"keys: [{{name: a, sha256: {'a' * 64}}}, {{name: a, sha256: {'b' * 64}}}]", "two keys have one name"),
        ("- 1", "is no mapping"),
        ("rule: [", "is no YAML"),
    ],
)
def test_a_mistaken_policy_is_one_line(tmp_path, text, message):
    """That names the key."""
    with pytest.raises(ConfigError) as caught:
        load_policy(_written(tmp_path / "policy.yaml", text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_policy_that_is_not_there(tmp_path):
    """Named."""
    with pytest.raises(StoreError, match=r"none\.yaml"):
        load_policy(tmp_path / "none.yaml")


def _written(path, text):
    path.write_text(text)
    return path
