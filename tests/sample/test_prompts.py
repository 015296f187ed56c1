"""Questions are put with the worked examples of their kind, as a chat or as text, and every change of a prompt shows."""

import pytest

from nescio.errors import ConfigError
from nescio.models.engine import SampleRequest
from nescio.records import Question
from nescio.sample.prompts import SHOTS, PromptSettings, digest_request, render_request

OPEN = Question(id="q", group="q", question="Who wrote Faust?", answers=("Goethe",))
CHOICE = Question(id="c", group="c", question="Which is red?", choices=("grass", "blood"), choice=1)
SHOT = Question(id="s", group="s", question="Who wrote Emma?", answers=("Jane Austen", "Austen"))
CHOICE_SHOT = Question(id="t", group="t", question="Which is wet?", choices=("water", "sand"), choice=0)
BOTH = (SHOT, CHOICE_SHOT)


def text_of(question, **settings):
    """The plain prompt."""
    return render_request(question, PromptSettings(style="plain", **settings), indices=(0,)).text


def contents_of(question, **settings):
    """Role and content of each turn."""
    request = render_request(question, PromptSettings(style="chat", **settings), indices=(0,))
    return [(message["role"], message["content"]) for message in request.messages]


def test_plain_few_shot():
    """Instruction, worked examples with their first answers, and the question up to where the answer begins."""
    assert text_of(OPEN, instruction="Be brief.", shots=BOTH) == (
        "Be brief.\n\nQuestion: Who wrote Emma?\nAnswer: Jane Austen\n\nQuestion: Who wrote Faust?\nAnswer:"
    )


def test_plain_zero_shot():
    """The question alone, with an instruction or without."""
    assert text_of(OPEN, instruction="", shots=()) == "Question: Who wrote Faust?\nAnswer:"
    assert text_of(OPEN, instruction="Be brief.", shots=()) == "Be brief.\n\nQuestion: Who wrote Faust?\nAnswer:"


def test_chat_few_shot():
    """Worked examples are earlier turns."""
    assert contents_of(OPEN, instruction="Be brief.", shots=BOTH) == [
        ("system", "Be brief."),
        ("user", "Who wrote Emma?"),
        ("assistant", "Jane Austen"),
        ("user", "Who wrote Faust?"),
    ]


def test_chat_zero_shot():
    """System turn and question only."""
    assert contents_of(OPEN, instruction="Be brief.", shots=()) == [("system", "Be brief."), ("user", "Who wrote Faust?")]


def test_options_by_letter():
    """Listed behind the question, in the worked example too; what is chosen from are letters, as they follow the prompt."""
    settings = PromptSettings(style="plain", instruction="", shots=BOTH)
    request = render_request(CHOICE, settings, indices=(0, 1))

    assert request.text == (
        "Question: Which is wet?\nA. water\nB. sand\nAnswer: A\n\nQuestion: Which is red?\nA. grass\nB. blood\nAnswer:"
    )
    assert (request.options, request.indices) == ((" A", " B"), (0, 1))
    assert contents_of(CHOICE, instruction="", shots=BOTH)[1:] == [
        ("user", "Which is wet?\nA. water\nB. sand"),
        ("assistant", "A"),
        ("user", "Which is red?\nA. grass\nB. blood"),
    ]
    assert render_request(CHOICE, PromptSettings(), indices=(0,)).options == ("A", "B")


def test_options_by_text():
    """None is listed; what is chosen from are the texts."""
    settings = PromptSettings(style="plain", instruction="", shots=BOTH, options="texts")
    request = render_request(CHOICE, settings, indices=(0,))

    assert request.text == "Question: Which is wet?\nAnswer: water\n\nQuestion: Which is red?\nAnswer:"
    assert request.options == (" grass", " blood")
    assert render_request(CHOICE, PromptSettings(options="texts"), indices=(0,)).options == ("grass", "blood")


def test_a_context_stands_before_its_question():
    """In the question and in worked examples, each line with its own name."""
    question, shot = (q.model_copy(update={"context": f"On {q.id}."}) for q in (OPEN, SHOT))

    assert text_of(question, instruction="", shots=(shot,)) == (
        "Context: On s.\nQuestion: Who wrote Emma?\nAnswer: Jane Austen\n\nContext: On q.\nQuestion: Who wrote Faust?\nAnswer:"
    )
    assert contents_of(question, shots=(shot,))[1:] == [
        ("user", "Context: On s.\nWho wrote Emma?"),
        ("assistant", "Jane Austen"),
        ("user", "Context: On q.\nWho wrote Faust?"),
    ]


def test_a_question_is_no_worked_example_for_itself():
    """Its answer would be given away."""
    assert "Goethe" not in text_of(OPEN, shots=(OPEN, SHOT))
    assert "Jane Austen" in text_of(OPEN, shots=(OPEN, SHOT))


def test_the_shots_that_ship_have_one_answer_each():
    """Open questions, five of them."""
    assert [bool(shot.answers and not shot.choices) for shot in SHOTS] == [True] * 5


def test_a_worked_example_without_an_answer_is_refused():
    """It would teach to say nothing."""
    with pytest.raises(ConfigError, match="worked example 's' has no answer"):
        text_of(OPEN, shots=(SHOT.model_copy(update={"answers": ()}),))


def test_more_options_than_letters_are_refused():
    """By letter; by text there is no limit."""
    many = CHOICE.model_copy(update={"choices": tuple(f"option {n}" for n in range(27))})

    with pytest.raises(ConfigError, match="27 options, more than letters"):
        render_request(many, PromptSettings(), indices=(0,))
    assert len(render_request(many, PromptSettings(options="texts"), indices=(0,)).options) == 27


def test_whatever_changes_the_prompt_changes_its_digest():
    """Wording, context, options, style, instruction, shots: all differ, while id and indices do not matter."""
    question = OPEN.model_copy(update={"context": "On Faust."})
    variants = [
        (OPEN, PromptSettings()),
        (question, PromptSettings()),
        (OPEN.model_copy(update={"question": "Who wrote Faust ?"}), PromptSettings()),
        (OPEN, PromptSettings(instruction="Be brief.")),
        (OPEN, PromptSettings(shots=())),
        (OPEN, PromptSettings(shots=SHOTS[::-1])),
        (OPEN, PromptSettings(style="plain")),
        (CHOICE, PromptSettings()),
        (CHOICE, PromptSettings(options="texts")),
        (CHOICE.model_copy(update={"choices": ("grass", "bloods")}), PromptSettings(options="texts")),
    ]
    digests = [digest_request(render_request(question, settings, indices=(0,))) for question, settings in variants]
    renamed = OPEN.model_copy(update={"id": "other", "answers": ("Marlowe",)})

    assert len(set(digests)) == len(variants)
    assert digest_request(render_request(renamed, PromptSettings(), indices=(1, 2))) == digests[0]
    assert len(digests[0]) == 16


def test_a_digest_is_the_same_on_every_machine():
    """Samples on disk are found again by it: the first hex digits of the sha256 of the request's JSON."""
    # printf '{"messages": [], "options": [" A"], "text": "Q"}' | sha256sum
    assert digest_request(SampleRequest("q", text="Q", options=(" A",))) == "9efb89773b549efb"
