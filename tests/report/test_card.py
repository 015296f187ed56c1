import pytest
import yaml

from nescio.report import write_model_card


@pytest.fixture
def card(content, tmp_path):
    """A card as it lies beside an adapter."""
    path = write_model_card(
        tmp_path / "README.md",
        name="smollm2-135m-nescio",
        base_model="HuggingFaceTB/SmolLM2-135M-Instruct",
        scorecard=content.scorecard,
        training={"epochs": 3, "note": "one | two\nthree"},
        dataset="failure-aware",
        dataset_description="Hand-written twins.",
    )
    return path.read_text(encoding="utf-8")


def front_of(card):
    """The YAML block at the top."""
    return yaml.safe_load(card.split("---\n")[1])


def test_front_matter_has_what_the_hub_asks_for(card):
    """The keys that make the hub show an adapter, with its base model and licence."""
    front = front_of(card)

    assert card.startswith("---\n")
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (front["library_name"], front["pipeline_tag"], front["license"]) == ("peft", "text-generation", "apache-2.0")


def test_model_index_holds_the_numbers_of_tuned(card, content):
    """The hub's evaluation results are those of the tuned system, to four digits."""
    (entry,) = front_of(card)["model-index"]
    values = {metric["type"]: metric["value"] for metric in entry["results"][0]["metrics"]}

    tuned = content.scorecard["systems"]["tuned"]
    assert values["decision_accuracy"] == pytest.approx(tuned["decision_accuracy"]["value"], abs=5e-5)
    assert len(values) == 9


def test_hub_library_reads_the_results(card):
    """The hub's own parser finds the results in the card."""
    huggingface_hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

    data = huggingface_hub.ModelCard(card).data

    assert {result.metric_type for result in data.eval_results} >= {"decision_accuracy", "ece", "twin_accuracy"}
    assert data.eval_results[0].dataset_split == "test"


def test_undefined_metric_stays_out_of_the_index_and_in_the_table(content, tmp_path):
    """The hub takes numbers only; the table tells the reason."""
    undefined = {"value": None, "n": 0, "low": None, "high": None, "reason": "no question was answered"}
    systems = content.scorecard["systems"]
    scorecard = {"systems": {**systems, "tuned": {**systems["tuned"], "false_confidence_rate": undefined}}, "paired": {}}
    path = write_model_card(
        tmp_path / "README.md", name="x", base_model="y", scorecard=scorecard, training={}, dataset="failure-aware"
    )

    card = path.read_text(encoding="utf-8")
    types = [metric["type"] for metric in front_of(card)["model-index"][0]["results"][0]["metrics"]]
    assert "false_confidence_rate" not in types
    assert "undefined: no question was answered" in card


def test_card_of_an_untuned_run_has_no_model_index(build_content, tmp_path):
    """Numbers of the base model are never passed off as those of the adapter."""
    scorecard = build_content(groups=3, systems=("base",)).scorecard
    path = write_model_card(tmp_path / "README.md", name="x", base_model="y", scorecard=scorecard, training={}, dataset="z")

    assert "model-index" not in front_of(path.read_text(encoding="utf-8"))


def test_table_has_a_row_a_metric_and_survives_odd_text(card):
    """Each metric has a cell for each of three systems; a bar or a line break in a setting cannot break the table."""
    rows = [line for line in card.splitlines() if line.startswith("| Decision accuracy")]

    assert len(rows) == 1
    assert rows[0].count("|") == 5
    assert "| note | one \\| two three |" in card


def test_loading_snippet_is_python(card):
    """The snippet to copy compiles."""
    snippet = card.split("```python\n")[1].split("```")[0]

    compile(snippet, "snippet", "exec")
    assert "PeftModel.from_pretrained(model, 'smollm2-135m-nescio')" in snippet
