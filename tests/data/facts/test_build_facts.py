"""The bank keeps its promises: size, splits, answers that grade right and give nothing away."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from nescio.data.facts import LANGUAGES, build_facts
from nescio.data.facts import packages as packages_module
from nescio.data.facts.build import rank_obscurity
from nescio.data.facts.existing import find_existing_names
from nescio.data.facts.fact import Fact, fold
from nescio.data.facts.relations import RELATIONS
from nescio.data.overlap import find_near_duplicates, normalise_question
from nescio.errors import ConfigError
from nescio.grade.match import grade_answer
from nescio.records import SPLITS


def test_the_bank_is_large_and_varied(bank):
    """There are 15,000 questions over 25 relations at the least, each language has its share, and ids are unique."""
    answerable = [question for question in bank if question.answerable]

    assert len(answerable) >= 15_000
    assert {question.relation for question in bank} == set(RELATIONS)
    assert len(RELATIONS) >= 25
    assert all(count >= 2_000 for count in Counter(question.language for question in bank).values())
    assert {question.language for question in bank} == set(LANGUAGES)
    assert len({question.id for question in bank}) == len(bank)


def test_no_relation_swamps_the_bank(bank):
    """The most frequent relation is less than an eighth of the bank."""
    assert max(Counter(question.relation for question in bank).values()) < len(bank) / 8


@pytest.mark.parametrize("field", ["group", "phrasing", "entity"])
def test_splits_share_nothing(bank, field):
    """Neither a group, nor a wording, nor an entity lies in two splits."""
    splits = defaultdict(set)
    for question in bank:
        splits[getattr(question, field, None) or question.metadata[field]].add(question.metadata["split"])

    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_every_split_has_its_share_of_every_relation(bank):
    """In English no relation with fifty questions or more lacks a split."""
    counts = Counter((question.relation, question.metadata["split"]) for question in bank if question.language == "en")
    sizes = Counter(question.relation for question in bank if question.language == "en")

    assert [
        relation for relation in sizes if sizes[relation] >= 50 and any(counts[relation, split] == 0 for split in SPLITS)
    ] == []


def test_nothing_is_asked_twice(bank):
    """No two questions read the same, case and punctuation aside."""
    asked = Counter(normalise_question(question.question) for question in bank)

    assert [text for text, count in asked.items() if count > 1] == []


def test_questions_of_two_splits_are_no_near_duplicates(bank):
    """Within a relation and language, no question of one split reads nearly as one of another."""
    relations = defaultdict(list)
    for question in bank:
        relations[question.relation, question.language].append(question)
    leaks = [
        (questions[pair.first].question, questions[pair.second].question)
        for questions in relations.values()
        for pair in find_near_duplicates([normalise_question(question.question) for question in questions])
        if questions[pair.first].metadata["split"] != questions[pair.second].metadata["split"]
    ]

    assert leaks == []


def test_every_alias_grades_right(bank):
    """The project's grader takes every alias of every question for a correct answer, also in a sentence of its own."""
    wrong = [
        (question.id, alias)
        for question in bank
        for alias in question.answers
        if grade_answer(alias, question.answers).verdict != "correct"
    ]

    assert wrong == []


def test_no_question_holds_its_answer(bank):
    """Repeating the question is no correct answer."""
    graded = {q.id: grade_answer(q.question, q.answers, question=q.question).verdict for q in bank if q.answers}
    told = [id for id, verdict in graded.items() if verdict == "correct"]

    assert told == []


def test_another_entitys_answer_grades_wrong(bank):
    """Within a relation and language, what answers one question does not answer another that has no answer in common."""
    asked = defaultdict(list)
    for question in bank:
        if question.answerable:
            asked[question.relation, question.language].append(question)
    mixed = [
        (first.id, second.answers[0])
        for questions in asked.values()
        for first, second in zip(questions, questions[7:], strict=False)
        if not {fold(alias) for alias in first.answers} & {fold(alias) for alias in second.answers}
        and grade_answer(second.answers[0], first.answers).verdict == "correct"
    ]

    assert mixed == []


def test_invented_things_have_no_answer(bank):
    """Exactly the invented twins cannot be answered; they lie in the group of an entity that exists."""
    groups = {question.group for question in bank if question.answerable}

    for question in bank:
        assert question.answerable == bool(question.answers) == (not question.metadata["invented"])
        assert question.group in groups


def test_about_every_tenth_named_entity_has_an_invented_twin(bank):
    """Of the entities that questions name, 10 % have a twin, up to chance."""
    invented = {q.metadata["entity"].removesuffix(":invented") for q in bank if q.metadata["invented"]}
    named = {fact.metadata["entity"] for fact in bank if not fact.metadata["invented"] and fact.metadata["name"]}

    assert 0.08 < len(invented) / len(named) < 0.12


def test_invented_names_are_in_no_package(bank):
    """The name of an invented thing is neither in the packages nor that of a real entity of the bank."""
    existing = find_existing_names()
    real = {fold(str(q.metadata["name"])) for q in bank if q.metadata["name"] and not q.metadata["invented"]}
    invented = {str(q.metadata["name"]) for q in bank if q.metadata["invented"]}

    assert len(invented) > 500
    assert [name for name in invented if fold(name) in existing or fold(name) in real] == []


def test_obscurity_follows_the_measure(bank):
    """Every real entity has one obscurity in [0, 1]; that of Shanghai is less than that of a small town."""
    found = defaultdict(set)
    for question in bank:
        if question.answerable:
            found[question.metadata["entity"]].add(question.obscurity)
        else:
            assert question.obscurity is None

    assert all(len(values) == 1 and 0 <= next(iter(values)) <= 1 for values in found.values())
    assert min(found["country:CN"]) < min(found["country:TV"])
    assert found["element:1"] == {0.0}
    assert found["element:118"] == {1.0}


def test_equal_measures_share_the_mean_rank():
    """Of four entities the two in the middle are equal: ranks 0, 1.5, 1.5 and 3 of 3."""
    facts = [Fact("r", "en", f"k:{name}", measure, name, ("x",)) for name, measure in {"a": 9, "b": 5, "c": 5, "d": 1}.items()]

    assert rank_obscurity(facts) == {"k:a": 0.0, "k:b": 0.5, "k:c": 0.5, "k:d": 1.0}


@pytest.mark.slow
def test_the_bank_is_the_same_in_another_process(bank):
    """Another process with another hash seed writes the same bytes."""
    script = (
        "import hashlib; from nescio.data.facts import build_facts; "
        "print(hashlib.sha256(''.join(q.model_dump_json() for q in build_facts()).encode()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)

    assert done.stdout.strip() == hashlib.sha256("".join(q.model_dump_json() for q in bank).encode()).hexdigest()


def test_a_part_is_a_part_of_the_whole(bank):
    """Languages and limits pick questions; they change none."""
    whole = {question.id: question for question in bank}
    part = build_facts(languages=["ja", "en"], limit=300)

    assert len(part) == 300
    assert {question.language for question in part} == {"en", "ja"}
    assert all(whole[question.id] == question for question in part)


@pytest.mark.parametrize("options", [{"languages": ["eng"]}, {"limit": 0}])
def test_wrong_options_are_refused(options):
    """An unknown language and a limit below one are said to be wrong."""
    with pytest.raises(ConfigError):
        build_facts(**options)


def test_a_missing_package_is_named(monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(packages_module, "PACKAGES", ("no_such_package",))
    with pytest.raises(ConfigError, match=r"'no_such_package'.*pip install 'nescio\[facts\]'"):
        packages_module.load_package("no_such_package.part")
