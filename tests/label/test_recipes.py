"""Each recipe by its paper's table, and what holds for all of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graded_questions import make_case
from hypothesis import given
from hypothesis import strategies as st

from nescio.grade.refusal import detect_refusal
from nescio.label import RECIPES
from nescio.label.recipes import LeftOut
from nescio.label.wording import REFUSAL_PHRASES, choose_refusal_phrase, justify_in, refuse_in
from nescio.models.prompt import IDK_REFUSAL, PROMPTS, REFUSAL
from nescio.records import DECISIONS, Label

TEACH_GOLD = {"fine_tuned", "r_tuning"}


def k_of_ten(k: int, greedy: str = "-") -> str:
    """A greedy answer and ten drawn ones, the last k of them right."""
    return " ".join([greedy, *["-"] * (10 - k), *["+"] * k])


def targets(recipe: str, case: Any, **options: Any) -> list[str]:
    """What a recipe would have the model write."""
    rows = RECIPES[recipe](*case, **options)
    assert isinstance(rows, list), rows
    return [row.target for row in rows]


def only_row(recipe: str, case: Any, **options: Any) -> Label:
    """The one row of a recipe that makes one."""
    rows = RECIPES[recipe](*case, **options)
    assert isinstance(rows, list), rows
    (row,) = rows
    return row


# --- ABSOLUTE


@pytest.mark.parametrize(
    ("answers", "target"),
    [
        ("+:Paris - - -", "Paris"),  # the greedy answer alone
        ("+:Paris! +:Paris. +:paris", "Paris!"),  # the greedy one before any other
        ("- - +:Paris. +:paris +:paris", "Paris."),  # the first right one of those drawn, not the most frequent
        ("- - - -", REFUSAL),
        ("~ ~ ~ ~", REFUSAL),  # abstaining is not knowing
    ],
)
def test_absolute_takes_any_right_answer(answers: str, target: str) -> None:
    """One right answer is enough; the greedy one goes first."""
    assert targets("absolute", make_case(answers)) == [target]


def test_a_threshold_of_absolute_is_on_the_expected_accuracy() -> None:
    """At 0.3 three of ten are enough and two are not, and a right greedy answer does not help."""
    assert targets("absolute", make_case(k_of_ten(3)), threshold=0.3) == ["Paris"]
    assert targets("absolute", make_case(k_of_ten(2)), threshold=0.3) == [REFUSAL]
    assert targets("absolute", make_case(k_of_ten(2, greedy="+")), threshold=0.3) == [REFUSAL]


# --- CONFIDENCE


@pytest.mark.parametrize("k", range(1, 11))
def test_confidence_in_numbers(k: int) -> None:
    """The template changes between five and six of ten, and says ten times k."""
    low = f"I'm only about {10 * k}% confident to answer the question correctly, but based on my understanding and knowledge, "
    high = f"I'm about {10 * k}% confident to answer the question correctly, and based on my understanding and knowledge, "

    opening = low if k <= 5 else high
    assert targets("confidence_num", make_case(k_of_ten(k))) == [opening + "here's what I think is correct. Paris"]


def test_confidence_in_words() -> None:
    """Five bands of two, and the answer's first letter in lower case."""
    expected = [
        *["I'm really not sure about this, but paris"] * 2,
        *["I'm not completely sure about this, but paris"] * 2,
        *["I don't have strong feelings either way, but paris"] * 2,
        *["I'm fairly confident that paris"] * 2,
        *["I'm absolutely certain that paris"] * 2,
    ]

    assert [targets("confidence_verb", make_case(k_of_ten(k)))[0] for k in range(1, 11)] == expected


def test_the_letter_of_an_option_stays_a_capital() -> None:
    """Words of an option and of an open answer go on in lower case, a letter does not."""
    choice = {"answers": (), "choices": ("Lyon", "Paris"), "choice": 1}
    for text, ending in {"B": "B", "B) Paris": "B) Paris", "B. Paris": "B. Paris", "Paris": "paris"}.items():
        assert targets("confidence_verb", make_case(["-", f"+:{text}"], **choice))[0] == f"I'm absolutely certain that {ending}"
    assert targets("confidence_verb", make_case(["-", "+:B. Cohen"]))[0] == "I'm absolutely certain that b. Cohen"


def test_the_paper_compares_targets_under_one_prompt() -> None:
    """Its recipes and its control have the prompt with leave to refuse; those of other papers ask the question alone."""
    prompts = {recipe: only_row(recipe, make_case("+ +")).prompt for recipe in set(RECIPES) - {"prompt_based"}}
    alone = {"r_tuning", "r_tuning_refusal", "idk"}

    assert prompts == {
        recipe: "structured" if recipe == "decision" else "plain" if recipe in alone else "honesty" for recipe in prompts
    }


@pytest.mark.parametrize("recipe", ["confidence_num", "confidence_verb"])
def test_confidence_goes_by_the_drawn_answers_alone(recipe: str) -> None:
    """None right of those drawn is a refusal though the greedy answer is right; but where some are, it is the one to give."""
    assert targets(recipe, make_case(k_of_ten(0, greedy="+"))) == [REFUSAL]
    assert targets(recipe, make_case(k_of_ten(1, greedy="+:PARIS")))[0].lower().endswith(" paris")
    assert "ARIS" in targets(recipe, make_case(k_of_ten(1, greedy="+:PARIS")))[0]


def test_tenths_are_rounded_up() -> None:
    """One of twenty is 5 %, said as 10; two of three are 67 %, said as 70; an ungraded answer is not among the drawn."""
    assert "about 10%" in targets("confidence_num", make_case("- + " + "- " * 19))[0]
    assert "about 70%" in targets("confidence_num", make_case("- + + -"))[0]
    assert "about 70%" in targets("confidence_num", make_case("- + + - ? ? ?"))[0]


# --- MULTISAMPLE


def test_multisample_has_a_row_for_each_graded_answer() -> None:
    """Right ones stand as they are, wrong ones become the refusal, the ungraded and the greedy one have no row."""
    rows = RECIPES["multisample"](*make_case("+:greedy +:Paris - ? +:paris"))
    assert isinstance(rows, list)

    assert [(row.id, row.target) for row in rows] == [("q1#1", "Paris"), ("q1#2", REFUSAL), ("q1#4", "paris")]
    assert {(row.right, row.graded) for row in rows} == {(2, 3)}


# --- the control, R-Tuning, Idk


def test_the_control_answers_everything() -> None:
    """The model's own right answer as it is, else the gold answer with a capital and a full stop, but never two stops."""
    assert targets("fine_tuned", make_case("- - +:paris")) == ["paris"]
    assert targets("fine_tuned", make_case("- - -")) == ["The GOLD city."]
    assert targets("fine_tuned", make_case("- -", answers=("u.S.",))) == ["U.S."]
    assert RECIPES["fine_tuned"](*make_case("- -", answers=())) == LeftOut("no gold answer")


def test_r_tuning_is_sure_of_what_the_greedy_answer_knows() -> None:
    """The gold answer in both cases; drawn answers do not matter."""
    query = "the GOLD city. Are you sure you accurately answered the question based on your internal knowledge?"

    assert targets("r_tuning", make_case("+ - - -")) == [f"{query} I am sure."]
    assert targets("r_tuning", make_case("- + + +")) == [f"{query} I am unsure."]
    assert targets("r_tuning", make_case("+")) == [f"{query} I am sure."]
    assert RECIPES["r_tuning"](*make_case("? + +")) == LeftOut("the greedy answer has no grade")


def test_r_tuning_with_refusals_has_one_instead_of_an_answer() -> None:
    """The gold answer where the model knows it, else a refusal that is bound to the question."""
    refusals = {id: targets("r_tuning_refusal", make_case("- + +", id=id))[0] for id in map(str, range(300))}

    assert targets("r_tuning_refusal", make_case("+ - -")) == ["the GOLD city."]
    assert refusals == {id: choose_refusal_phrase(id) for id in refusals}
    assert set(refusals.values()) == set(REFUSAL_PHRASES)


def test_idk_knows_what_is_right_every_time() -> None:
    """Ten of ten at the threshold of the paper, or as many as the threshold asks for."""
    assert targets("idk", make_case(k_of_ten(10))) == ["Paris"]
    assert targets("idk", make_case(k_of_ten(9, greedy="+"))) == [IDK_REFUSAL]
    assert targets("idk", make_case(k_of_ten(9)), threshold=0.9) == ["Paris"]


def test_the_prompt_alone_trains_on_nothing() -> None:
    """There is no row, and a reason."""
    assert RECIPES["prompt_based"](*make_case("+ +")) == LeftOut("this recipe trains on nothing")


# --- decision


@pytest.mark.parametrize(
    ("k", "decided", "quality"),
    [
        (0, "refuse", "low"),
        (1, "uncertain", "low"),
        (2, "uncertain", "low"),
        (3, "uncertain", "medium"),
        (4, "uncertain", "medium"),
        (5, "correct", "medium"),
        (8, "correct", "medium"),
        (9, "correct", "high"),
        (10, "correct", "high"),
    ],
)
def test_decision_by_the_share_of_right_answers(k: int, decided: str, quality: str) -> None:
    """None is *refuse*, half of them *correct*; the quality of the evidence divides both decisions that have an answer."""
    row = only_row("decision", make_case(k_of_ten(k)))
    reply = json.loads(row.target)

    assert (row.decision, reply["decision"], reply["evidence_quality"]) == (decided, decided, quality)
    assert reply["answer"] == ("Paris" if k else refuse_in("en"))
    assert (row.right, row.graded, row.prompt) == (k, 10, "structured")


def test_the_target_of_a_decision_is_to_the_letter() -> None:
    """Key order, spaces and signs are those of the reply that training on examples teaches."""
    assert targets("decision", make_case(['+:Žižkov "1"', "+"])) == [
        '{"decision": "correct", "answer": "Žižkov \\"1\\"", "justification": "I am sure of this answer.", '
        '"evidence_quality": "high"}'
    ]


def test_a_decision_gives_the_usual_right_answer() -> None:
    """The greedy answer where it is right, else the right one that was drawn most often, the first of equals."""
    cases = {
        "+:greedy +:a +:b +:b": "greedy",
        "- +:a +:b +:b": "b",
        "- +:a +:b +:b +:a -": "a",
    }
    for answers, expected in cases.items():
        assert json.loads(targets("decision", make_case(answers))[0])["answer"] == expected


def test_a_lucky_greedy_answer_is_no_knowledge() -> None:
    """None of those drawn is right: *refuse*, and the greedy answer is not given."""
    row = only_row("decision", make_case("+ - - -"))

    assert row.decision == "refuse"
    assert "Paris" not in row.target


def test_the_threshold_of_decision_moves_the_border() -> None:
    """At 0.8 seven of ten are uncertain; the border itself is correct."""
    assert only_row("decision", make_case(k_of_ten(7)), threshold=0.8).decision == "uncertain"
    assert only_row("decision", make_case(k_of_ten(8)), threshold=0.8).decision == "correct"
    assert only_row("decision", make_case(k_of_ten(10)), threshold=1.0).decision == "correct"


@pytest.mark.parametrize("language", ["en", "zh", "es", "fr", "de", "ja"])
def test_decisions_speak_the_questions_language(language: str) -> None:
    """Refusal and justification, in English where we have no words."""
    row = only_row("decision", make_case("- -", language=language))

    assert json.loads(row.target)["answer"] == refuse_in(language)
    assert json.loads(row.target)["justification"] == justify_in(language, "refuse")
    assert (refuse_in(language) == refuse_in("en")) == (language == "en")
    assert len({justify_in(language, decided) for decided in DECISIONS}) == 3


def test_words_for_other_languages_are_english() -> None:
    """Better a refusal in English than none."""
    assert refuse_in("sw") == refuse_in("en")
    assert justify_in("sw", "correct") == justify_in("en", "correct")


def test_half_of_the_threshold_is_medium_evidence() -> None:
    """Two of ten are half of 0.4: the border belongs to the better quality."""
    assert json.loads(targets("decision", make_case(k_of_ten(2)), threshold=0.4)[0])["evidence_quality"] == "medium"
    assert json.loads(targets("decision", make_case(k_of_ten(1)), threshold=0.4)[0])["evidence_quality"] == "low"


# --- all of them


@pytest.mark.parametrize("text", [REFUSAL, IDK_REFUSAL, *REFUSAL_PHRASES, *map(refuse_in, ("en", "zh", "es", "fr", "de", "ja"))])
def test_refusals_are_found_by_the_grader(text: str) -> None:
    """What a model is taught to say must count as a refusal when it says so."""
    assert detect_refusal(text).state == "refused"


@pytest.mark.parametrize("recipe", RECIPES)
@given(answers=st.lists(st.sampled_from("+-?~"), max_size=12), answerable=st.sampled_from([True, None]))
def test_no_recipe_teaches_what_the_model_cannot_give(recipe: str, answers: list[str], answerable: bool | None) -> None:
    """Without a right answer among the graded ones nothing of the gold is taught, but by the control and R-Tuning."""
    rows = RECIPES[recipe](*make_case(answers, answerable=answerable))
    taught = " ".join(row.target for row in rows) if isinstance(rows, list) else ""

    if "+" not in answers and recipe not in TEACH_GOLD:
        assert "GOLD" not in taught
        assert "Paris" not in taught
    if recipe not in {*TEACH_GOLD, "r_tuning_refusal"}:
        assert "GOLD" not in taught
    for wrong in ("Lyon", "Nice", "No idea"):
        assert wrong not in taught


@pytest.mark.parametrize("recipe", RECIPES)
@given(answers=st.lists(st.sampled_from("+-?~"), max_size=12))
def test_rows_are_whole_records(recipe: str, answers: list[str]) -> None:
    """Each row has a known prompt, the question's fields, counts of drawn answers with a grade, and an interval around them."""
    case = make_case(answers, context="A text.")
    rows = RECIPES[recipe](*case)
    graded = sum(sign != "?" for sign in answers[1:])

    for row in rows if isinstance(rows, list) else []:
        assert row == Label.model_validate(row.model_dump())
        assert row.prompt in PROMPTS
        assert (row.group, row.question, row.context) == ("group of q1", "What is the capital?", "A text.")
        assert (row.decision is None) == (recipe != "decision")
        assert row.weight == 1
        assert (row.right, row.graded) == ((answers[1:].count("+"), graded) if graded else (None, None))
        assert (row.interval is None) == (graded == 0)
        if row.interval and row.accuracy is not None:
            assert row.interval[0] <= row.accuracy <= row.interval[1]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_order_of_the_samples_does_not_matter(recipe: str) -> None:
    """Samples and grades are put in order by their index: which right answer is the first does not hang on the file."""
    question, samples, grades = make_case("- - +:b +:a - +:c")

    assert RECIPES[recipe](question, samples[::-1], grades[2:] + grades[:2]) == RECIPES[recipe](question, samples, grades)


@pytest.mark.parametrize("answers", ["+ + + -", "? ? ?", ""])
@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_invented_is_refused_whatever_was_said(recipe: str, answers: str) -> None:
    """Of a thing that does not exist no answer is right, even if a grade says so; recipes of gold answers leave it out."""
    rows = RECIPES[recipe](*make_case(answers, answerable=False, answers=()))

    if recipe in {"prompt_based", *TEACH_GOLD}:
        assert isinstance(rows, LeftOut)
        return
    assert isinstance(rows, list)
    for row in rows:
        text = json.loads(row.target)["answer"] if row.decision else row.target
        assert detect_refusal(text).state == "refused"
        assert row.decision in ("refuse", None)
        assert not row.right


@pytest.mark.parametrize("recipe", sorted(set(RECIPES) - {"prompt_based", "r_tuning", "r_tuning_refusal"}))
def test_without_graded_draws_there_is_no_row(recipe: str) -> None:
    """A greedy answer alone, or answers that nobody could grade, say nothing about the expected accuracy."""
    assert RECIPES[recipe](*make_case("+")) == LeftOut("no drawn answer has a grade")
    assert RECIPES[recipe](*make_case("+ ? ?")) == LeftOut("no drawn answer has a grade")
    assert RECIPES[recipe](*make_case("")) == LeftOut("no samples")


def test_texts_are_stripped_and_cut_answers_count() -> None:
    """An answer that was cut off, or runs over several sentences, is taken as it is but for the white space around it."""
    question, samples, grades = make_case(["-", "+: It is Paris. Or rather\n"])
    cut = [sample.model_copy(update={"ended": False}) for sample in samples]

    assert targets("absolute", (question, cut, grades)) == ["It is Paris. Or rather"]


def test_failed_and_empty_answers_have_no_grade() -> None:
    """A failure is not wrong, and an empty text cannot be right, whatever their grades say."""
    question, samples, grades = make_case("- + + - +")
    samples[1] = samples[1].model_copy(update={"failure": "timed out"})
    samples[2] = samples[2].model_copy(update={"text": " "})
    row = only_row("decision", (question, samples, grades))

    assert (row.right, row.graded) == (1, 2)


# --- multiple choice


@pytest.mark.parametrize(("offered", "gold"), [(("A", "B"), "B."), (("Lyon", "Paris"), "Paris.")])
def test_multiple_choice_in_the_form_of_the_offer(offered: tuple[str, str], gold: str) -> None:
    """The options stand below the question; the gold option is a letter where letters were offered, else its text."""
    fields = {"answers": (), "choices": ("Lyon", "Paris"), "choice": 1}
    case = make_case([f"-:{offered[0]}", f"-:{offered[0]}"], **fields)

    assert targets("fine_tuned", case) == [gold]
    assert only_row("fine_tuned", case).question == "What is the capital?\nA. Lyon\nB. Paris"
    assert targets("absolute", make_case([f"+:{offered[1]}", f"-:{offered[0]}"], **fields)) == [offered[1]]


def test_a_choice_without_text_is_its_option() -> None:
    """Engines that score options may write nothing."""
    question, samples, grades = make_case("+ +", answers=(), choices=("Lyon", "Paris"), choice=1)
    chosen = [sample.model_copy(update={"text": "", "choice": 1}) for sample in samples]

    assert targets("absolute", (question, chosen, grades)) == ["Paris"]
