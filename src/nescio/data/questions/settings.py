"""Ready settings for public data sets: where they lie on the hub, what their columns are, what their files look like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from nescio.data.questions.columns import Columns
from nescio.data.questions.originals import (
    read_entityquestions,
    read_keyed_splits,
    read_liedetector,
    read_mintaka,
    read_mmlu,
    read_open_trivia,
    read_openbookqa,
    read_squad2,
    read_truthfulqa_mc,
    read_umwp,
)
from nescio.data.questions.tables import SourceRow, read_table
from nescio.records import Record, Text

Role = Literal["train", "dev", "test"]
"""What a benchmark uses a split for; results are reported on `test`, whatever the split is called."""


class Hub(Record):
    """A data set of the Hugging Face hub."""

    id: Text
    splits: tuple[Text, ...]
    """The first is read where none is named."""
    columns: Columns = Columns()
    config: Text | None = None


class Original(Record):
    """The files that a data set was published as."""

    files: Mapping[str, str | None]
    """Split by file name pattern; None where the rows tell their split."""
    columns: Columns = Columns()
    read: Callable[[Path], Iterator[SourceRow]] = read_table


class Setting(Record):
    """All that is needed to read one public data set."""

    about: Text
    licence: Text
    home: Text
    """Where the original files are."""
    roles: Mapping[str, Role] = Field(default_factory=dict)
    """What each split is used for; empty where the data set is no benchmark."""
    benchmark: Text | None = None
    """Name of the benchmark, where it is not that of the setting."""
    hub: Hub | None = None
    original: Original | None = None
    shuffled: bool = False
    """The source has the right option in one place: put the options in an order that the texts decide."""
    unanswerable_without_answers: bool = False
    """A row without answers is one that cannot be answered."""


_ARC_COLUMNS = Columns(choice="answerKey")
_ARC_SPLITS = ("test", "validation", "train")
_HELD_OUT: dict[str, Role] = {"train": "train", "validation": "dev", "dev": "dev", "test": "test"}
_VALIDATION_IS_TEST: dict[str, Role] = {"train": "train", "validation": "test"}

SETTINGS: dict[str, Setting] = {
    "nq_open": Setting(
        about="questions typed into a search engine, answers in a few words",
        licence="CC BY-SA 3.0",
        home="github.com/google-research-datasets/natural-questions/tree/master/nq_open",
        roles=_VALIDATION_IS_TEST | {"efficientqa_dev": "dev", "efficientqa_test": "test"},
        hub=Hub(
            id="google-research-datasets/nq_open",
            config="nq_open",
            splits=("validation", "train"),
            columns=Columns(question="question", answers="answer"),
        ),
        original=Original(
            files={
                "NQ-open.train.jsonl": "train",
                "NQ-open.dev.jsonl": "validation",
                "NQ-open.efficientqa.dev*.jsonl": "efficientqa_dev",
                "NQ-open.efficientqa.test*.jsonl": "efficientqa_test",
            },
            columns=Columns(question="question", answers="answer"),
        ),
    ),
    "nq_open_oracle": Setting(
        about="questions of the development set of nq_open, each with the passage that answers it",
        licence="CC BY-SA 3.0",
        home="github.com/nelson-liu/lost-in-the-middle (qa_data)",
        roles={"validation": "test"},
        benchmark="nq_open",
        original=Original(
            files={"nq-open-oracle.jsonl*": "validation"},
            columns=Columns(answers="answers", context="ctxs.0.text"),
        ),
    ),
    "trivia_qa": Setting(
        about="trivia questions with many aliases, without their documents",
        licence="Apache-2.0",
        home="nlp.cs.washington.edu/triviaqa",
        roles=_VALIDATION_IS_TEST | {"sample": "test"},
        hub=Hub(
            id="mandarjoshi/trivia_qa",
            config="rc.nocontext",
            splits=("validation", "train"),
            columns=Columns(id="question_id", question="question", answers=("answer.value", "answer.aliases")),
        ),
        original=Original(
            # Nobody says which split the sample was drawn from.
            files={"triviaqa.json": "sample"},
            columns=Columns(id="qid", answers=("gold_answer", "aliases")),
        ),
    ),
    "popqa": Setting(
        about="templated questions on entities of known popularity",
        licence="MIT",
        home="github.com/AlexTMallen/adaptive-retrieval",
        roles={"dev": "test", "test": "test"},
        hub=Hub(
            id="akariasai/PopQA",
            splits=("test",),
            columns=Columns(
                id="id",
                entity="subj",
                answers="possible_answers",
                relation="prop",
                popularity="s_pop",
                metadata=("s_pop", "o_pop"),
                lists="json",
            ),
        ),
        original=Original(
            files={"popqa.json": None},
            read=read_keyed_splits,
            columns=Columns(
                id="id", question="input", answers="output", popularity="s_pop", metadata=("s_pop", "o_pop"), lists="json"
            ),
        ),
    ),
    "entityquestions": Setting(
        about="templated questions on entities of Wikidata, by relation",
        licence="MIT",
        home="github.com/princeton-nlp/EntityQuestions",
        roles=_HELD_OUT,
        original=Original(
            files={
                "P*.train.json": "train",
                "entityquestions-train.tar.gz": "train",
                "P*.dev.json": "dev",
                "P*.test.json": "test",
            },
            read=read_entityquestions,
        ),
    ),
    "web_questions": Setting(
        about="questions from search suggestions, answers from Freebase",
        licence="CC BY 4.0",
        home="github.com/brmson/dataset-factoid-webquestions",
        roles=_HELD_OUT | {"devtest": "dev"},
        hub=Hub(
            id="stanfordnlp/web_questions",
            splits=("test", "train"),
            columns=Columns(group="url", question="question", answers="answers", metadata=("url",)),
        ),
        original=Original(
            files={"trainmodel.json": "train", "val.json": "validation", "devtest.json": "devtest", "test.json": "test"},
            columns=Columns(id="qId", question="qText", answers="answers"),
        ),
    ),
    "mmlu": Setting(
        about="multiple choice in 57 subjects",
        licence="MIT",
        home="github.com/hendrycks/test",
        roles=_HELD_OUT | {"auxiliary_train": "train"},
        hub=Hub(
            id="cais/mmlu",
            config="all",
            splits=("test", "validation", "dev", "auxiliary_train"),
            columns=Columns(choices="choices", choice="answer", choice_is="index", metadata=("subject",)),
        ),
        original=Original(
            files={"*_dev.csv": "dev", "*_val.csv": "validation", "*_test.csv": "test"},
            read=read_mmlu,
            columns=Columns(choice_is="letter"),
        ),
    ),
    "arc": Setting(
        about="science questions from school, the hard ones (ARC-Challenge)",
        licence="CC BY-SA 4.0",
        home="allenai.org/data/arc",
        roles=_HELD_OUT,
        hub=Hub(id="allenai/ai2_arc", config="ARC-Challenge", splits=_ARC_SPLITS, columns=_ARC_COLUMNS),
        original=Original(files={"arc_challenge.json": None}, read=read_keyed_splits, columns=Columns(choice="answer")),
    ),
    "arc_easy": Setting(
        about="science questions from school, the easy ones (ARC-Easy)",
        licence="CC BY-SA 4.0",
        home="allenai.org/data/arc",
        roles=_HELD_OUT,
        hub=Hub(id="allenai/ai2_arc", config="ARC-Easy", splits=_ARC_SPLITS, columns=_ARC_COLUMNS),
    ),
    "openbookqa": Setting(
        about="elementary science, multiple choice, without its book of facts",
        licence="Apache-2.0",
        home="allenai.org/data/open-book-qa",
        roles=_HELD_OUT,
        hub=Hub(
            id="allenai/openbookqa",
            config="main",
            splits=("test", "validation", "train"),
            columns=Columns(question="question_stem", choice="answerKey"),
        ),
        original=Original(files={"OpenBookQA-test.jsonl": "test"}, read=read_openbookqa, columns=Columns(choice_is="index")),
    ),
    "sciq": Setting(
        about="science questions from crowd workers, multiple choice and open, without their passages",
        licence="CC BY-NC 3.0",
        home="allenai.org/data/sciq",
        roles=_HELD_OUT,
        hub=Hub(
            id="allenai/sciq",
            splits=("test", "validation", "train"),
            columns=Columns(
                answers="correct_answer",
                choices=("correct_answer", "distractor1", "distractor2", "distractor3"),
                choice="correct_answer",
                choice_is="text",
            ),
        ),
        shuffled=True,
    ),
    "selfaware": Setting(
        about="questions that nobody can answer, and questions of other data sets that can be answered",
        licence="CC BY-SA 4.0, for research",
        home="github.com/yinzhangyue/SelfAware",
        roles={"train": "test", "all": "test"},
        hub=Hub(id="JesusCrist/selfAware", splits=("train",), columns=Columns(answers="answer", answerable="answerable")),
        original=Original(
            files={"SelfAware.json": "all"},
            columns=Columns(id="question_id", answers="answer", answerable="answerable", metadata=("source",)),
        ),
    ),
    "squad2": Setting(
        about="questions on a passage, half of which it does not answer",
        licence="CC BY-SA 4.0",
        home="rajpurkar.github.io/SQuAD-explorer",
        roles=_VALIDATION_IS_TEST,
        hub=Hub(
            id="rajpurkar/squad_v2",
            splits=("validation", "train"),
            columns=Columns(id="id", entity="title", context="context", answers="answers.text"),
        ),
        original=Original(files={"train-v2.0.json": "train", "dev-v2.0.json": "validation"}, read=read_squad2),
        unanswerable_without_answers=True,
    ),
    "truthfulqa": Setting(
        about="questions that tempt to repeat a common mistake, open",
        licence="Apache-2.0",
        home="github.com/sylinrl/TruthfulQA",
        roles={"validation": "test"},
        hub=Hub(
            id="truthfulqa/truthful_qa",
            config="generation",
            splits=("validation",),
            columns=Columns(answers=("best_answer", "correct_answers"), metadata=("type", "category")),
        ),
        original=Original(
            files={"TruthfulQA.csv": "validation"},
            columns=Columns(
                question="Question", answers=("Best Answer", "Correct Answers"), metadata=("Type", "Category"), lists=";"
            ),
        ),
    ),
    "truthfulqa_mc": Setting(
        about="the same questions with one right option (mc1)",
        licence="Apache-2.0",
        home="github.com/sylinrl/TruthfulQA",
        roles={"validation": "test"},
        benchmark="truthfulqa",
        hub=Hub(
            id="truthfulqa/truthful_qa",
            config="multiple_choice",
            splits=("validation",),
            columns=Columns(choices="mc1_targets.choices", choice="mc1_targets.labels"),
        ),
        original=Original(files={"mc_task.json": "validation"}, read=read_truthfulqa_mc),
        shuffled=True,
    ),
    "mintaka": Setting(
        about="questions of eight topics and nine kinds of reasoning, in nine languages",
        licence="CC BY 4.0",
        home="github.com/amazon-science/mintaka",
        roles=_HELD_OUT,
        original=Original(
            files={"mintaka_train.json": "train", "mintaka_dev.json": "dev", "mintaka_test.json": "test"}, read=read_mintaka
        ),
    ),
    "umwp": Setting(
        about="word problems and their unanswerable twins",
        licence="CC BY-SA 4.0",
        home="github.com/Yuki-Asuuna/UMWP",
        roles={"all": "test"},
        original=Original(files={"StandardDataset.jsonl": "all"}, read=read_umwp),
    ),
    "liedetector": Setting(
        about="facts that GPT-2 XL knew, as questions and as sentences to complete, and questions on invented people",
        licence="BSD-3-Clause",
        home="github.com/LoryPack/LLM-LieDetector (data/raw_questions)",
        original=Original(
            files={"questions_1000_all.json": "facts", "questions_made_up_all.json": "made_up"}, read=read_liedetector
        ),
    ),
    "known_1000": Setting(
        about="the same facts as sentences to complete: the question is their beginning",
        licence="MIT",
        home="rome.baulab.info",
        original=Original(
            files={"known_1000.json": "completions"},
            columns=Columns(id="known_id", entity="subject", question="prompt", answers="attribute", relation="relation_id"),
        ),
    ),
    "open_trivia_qa": Setting(
        about="trivia of a community in 22 categories, multiple choice and open",
        licence="CC BY-SA 4.0",
        home="github.com/uberspot/OpenTriviaQA",
        original=Original(files={"[a-z]*": "all"}, read=read_open_trivia, columns=Columns(choice_is="text")),
    ),
}
"""By the name that `load_questions` takes."""
