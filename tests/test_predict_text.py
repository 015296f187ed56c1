"""Replies in free text: each recipe's form is asked for, read and forced as it was trained."""

import math

import pytest

from nescio.errors import ConfigError
from nescio.label import RECIPES
from nescio.models.prompt import (
    HONESTY_PROMPT,
    IDK_REFUSAL,
    PROMPTS,
    REFUSAL,
    SHORT_ANSWER_PROMPT,
    SURE_QUERY,
    encode_messages,
    render_question,
)
from nescio.models.torch_sampler import TorchSampler
from nescio.predict_text import BESIDE, REPLY_FORMS, predict_replies, speak
from nescio.records import Question, Sample


class Script:
    """An engine that says what a function of the request says."""

    def __init__(self, say):
        self.say, self.asked = say, []

    def identify(self):
        """Nothing to tell."""
        return {}

    def draw(self, requests, settings, *, on_done=None):
        """Answer in order; a text, the likelihoods of two options, or an exception's message as a failure."""
        samples = []
        for done, request in enumerate(requests, 1):
            self.asked.append(request)
            said = self.say(request)
            if isinstance(said, Exception):
                samples.append(Sample(question_id=request.question_id, index=0, failure=str(said)))
            elif request.options:
                samples.append(Sample(question_id=request.question_id, index=0, option_log_likelihoods=said))
            else:
                samples.append(Sample(question_id=request.question_id, index=0, text=said))
            if on_done:
                on_done(done)
        return samples


def question(id, **fields):
    """A question to reply to."""
    return Question.model_validate({"id": id, "group": id, "question": f"What is {id}?", **fields})


def predict(texts, recipe, *, freed="Oslo", **options):
    """Replies to one question a text; `freed` is said where beginnings are forbidden."""
    said = {str(n): text for n, text in enumerate(texts)}
    engine = Script(lambda request: freed if request.forbidden else said[request.question_id])
    return predict_replies(engine, [question(id) for id in said], recipe=recipe, **options), engine


def test_every_recipe_in_free_text_has_a_form():
    """All recipes but the structured one."""
    assert set(REPLY_FORMS) == set(RECIPES) - {"decision"}


@pytest.mark.parametrize("recipe", [name for name, form in REPLY_FORMS.items() if not form.asks_itself])
def test_form_asks_with_its_prompt_and_forces_what_begins_as_a_refusal(recipe):
    """One refusal, one answer: the first is asked again with its beginnings forbidden, the second stands."""
    refusal = {"idk": IDK_REFUSAL, "r_tuning_refusal": "I have no reliable knowledge of this."}.get(recipe, REFUSAL)
    replies, engine = predict([refusal, "Paris"], recipe)
    system = HONESTY_PROMPT if REPLY_FORMS[recipe].prompt == "honesty" else SHORT_ANSWER_PROMPT

    assert [(reply.text, reply.forced) for reply in replies] == [(refusal, "Oslo"), ("Paris", "Paris")]
    assert all(reply.refused is None and reply.confidence is None and reply.failure is None for reply in replies)
    assert [request.question_id for request in engine.asked] == ["0", "1", "0"]
    assert engine.asked[-1].forbidden == REPLY_FORMS[recipe].forbidden
    assert {request.messages[0]["content"] for request in engine.asked} == {system}
    assert engine.asked[1].messages[-1]["content"] == "Q: What is 1?\nA:"


@pytest.mark.parametrize("recipe", ["confidence_num", "confidence_verb"])
def test_stated_confidence_is_no_refusal_to_force(recipe):
    """Answers of these recipes begin with "I'm" too."""
    replies, engine = predict(["I'm really not sure about this, but Paris"], recipe)

    assert replies[0].forced == replies[0].text
    assert len(engine.asked) == 1


def test_refusal_in_other_words_is_what_is_said_when_forced():
    """Forbidding beginnings that it does not have would change nothing: it refuses again."""
    replies, engine = predict(["Sorry, no idea."], "absolute")

    assert replies[0].forced == "Sorry, no idea."
    assert len(engine.asked) == 1


def test_nothing_is_forced_where_that_is_not_wanted():
    """Then nobody knows what would have been said."""
    replies, engine = predict([REFUSAL, "Paris"], "absolute", forced=False)

    assert [reply.forced for reply in replies] == [None, None]
    assert len(engine.asked) == 2


def test_r_tuning_answers_and_says_how_sure_it_is():
    """What it wrote before asking itself is the reply; P(sure) against P(unsure) is the confidence, in the right order."""
    wrote = {"0": f"Paris. {SURE_QUERY} I am sure.", "1": "Lima"}
    likelihoods = {"0": (math.log(0.06), math.log(0.02)), "1": (math.log(0.01), math.log(0.04))}
    engine = Script(lambda request: likelihoods[request.question_id] if request.options else wrote[request.question_id])
    sure, unsure = predict_replies(engine, [question("0"), question("1")], recipe="r_tuning")

    assert (sure.text, sure.refused, sure.forced) == ("Paris.", False, "Paris.")
    assert (unsure.text, unsure.refused, unsure.forced) == ("Lima", True, "Lima")
    # 0.06 / (0.06 + 0.02) and 0.01 / (0.01 + 0.04)
    assert (sure.confidence, unsure.confidence) == (pytest.approx(0.75), pytest.approx(0.2))
    assert [request.begun for request in engine.asked[2:]] == [f"Paris. {SURE_QUERY}", f"Lima {SURE_QUERY}"]


def test_likelihoods_far_apart_do_not_overflow():
    """A difference of 2,000 nats is a confidence of 0."""
    engine = Script(lambda request: (-2000.0, 0.0) if request.options else "Paris")
    reply = predict_replies(engine, [question("0")], recipe="r_tuning")[0]

    assert (reply.confidence, reply.refused) == (pytest.approx(0.0), True)


def test_failures_stay_with_their_question():
    """A reply that failed has no text to force; one that only could not say how sure it is leaves refusing to its words."""
    failure = Exception("too long")
    engine = Script(lambda request: failure if request.question_id == "1" else REFUSAL if not request.forbidden else failure)
    first, second = predict_replies(engine, [question("0"), question("1")], recipe="absolute")
    assert (first.failure, first.text, first.forced) == (None, REFUSAL, None)
    assert (second.failure, second.text, second.forced) == ("too long", "", None)

    unsure = predict_replies(Script(lambda r: failure if r.options else "Paris"), [question("0")], recipe="r_tuning")[0]
    assert (unsure.failure, unsure.confidence, unsure.refused) == (None, None, None)


def test_options_and_context_are_in_the_prompt_and_progress_is_told():
    """The reply to a multiple-choice question is free text too."""
    engine, done = Script(lambda request: "A"), []
    asked = question("0", choices=["red", "blue"], choice=0, context="It glows.")
    predict_replies(engine, [asked], recipe="idk", on_progress=done.append)

    assert engine.asked[0].messages[-1]["content"] == "Context: It glows.\nQ: What is 0?\nA. red\nB. blue\nA:"
    assert engine.asked[0].options == ()
    assert done == [1]


def test_unknown_recipe_is_one_line():
    """The structured recipe has no form in free text either."""
    with pytest.raises(ConfigError, match=r"unknown recipe 'absolut'. Did you mean 'absolute'"):
        predict(["Paris"], "absolut")


@pytest.mark.parametrize("recipe", BESIDE)
def test_what_it_would_rather_say_is_told_by_the_first_tokens(tiny_model, recipe):
    """Log P(the likeliest token that does not open a refusal) - log P(the one that does), by a pass of the model itself."""
    import torch

    tiny = tiny_model("llama")
    questions = [question(str(n)) for n in range(5)]
    spoken = speak(TorchSampler(tiny, max_rows=3), questions, recipe=recipe, max_new_tokens=4)

    (refusing,) = tiny.tokenizer("I", add_special_tokens=False)["input_ids"]
    for asked in questions:
        ids = list(encode_messages(tiny.tokenizer, PROMPTS["honesty"](render_question(asked), None)))
        with torch.no_grad():
            likely = tiny.model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        refusal = likely[refusing].item()
        likely[refusing] = float("-inf")
        assert spoken[asked.id].log_odds == pytest.approx(likely.max().item() - refusal, abs=2e-4)
        assert not spoken[asked.id].answer.startswith("I")


def test_questions_that_fail_are_not_spoken_of(tiny_model):
    """One is longer than the model's window; the others are answered all the same."""
    long = question("long", context="so " * 5000)

    assert set(speak(TorchSampler(tiny_model("llama")), [question("1"), long, question("2")], recipe="absolute")) == {"1", "2"}


def test_only_some_recipes_can_be_learnt_beside():
    """R-Tuning never refuses, and others open a refusal as they open an answer."""
    with pytest.raises(ConfigError, match=r"unknown recipe to learn beside 'r_tuning'"):
        speak(Script(str), [question("1")], recipe="r_tuning")
