"""What a structured label says beside the model's own answer, and the refusals that R-Tuning chooses from."""

from __future__ import annotations

import hashlib

from nescio.records import Decision

REFUSAL_PHRASES = (
    "I don't know.",
    "I don't know the answer to that.",
    "I do not know the answer to this question.",
    "I have no idea.",
    "I'm afraid I don't know.",
    "I'm sorry, but I don't know.",
    "I can't answer that.",
    "I cannot answer this question.",
    "I am not able to answer this question.",
    "I'm unable to answer that.",
    "I don't have enough information to answer.",
    "I have no reliable information on this.",
    "I'm not sure what the answer is.",
    "I really don't know this one.",
    "The answer is not known to me.",
    "That is beyond my knowledge.",
)
"""Sixteen, as many as R-Tuning has; the wordings are ours."""

_REFUSALS = {
    "en": "I don't know the answer.",
    "zh": "我不知道答案。",
    "es": "No sé la respuesta.",
    "fr": "Je ne connais pas la réponse.",
    "de": "Ich weiß die Antwort nicht.",
    "ja": "答えは分かりません。",
}
# A few tokens each: a justification that the samples bear out for every question says nothing about the question.
_JUSTIFICATIONS: dict[str, dict[Decision, str]] = {
    "en": {
        "correct": "I am sure of this answer.",
        "uncertain": "I am not sure of this answer.",
        "refuse": "This is beyond what I know.",
    },
    "zh": {"correct": "我对这个答案有把握。", "uncertain": "我对这个答案没有把握。", "refuse": "这超出了我的知识范围。"},
    "es": {
        "correct": "Estoy seguro de esta respuesta.",
        "uncertain": "No estoy seguro de esta respuesta.",
        "refuse": "Esto supera lo que sé.",
    },
    "fr": {
        "correct": "Je suis sûr de cette réponse.",
        "uncertain": "Je ne suis pas sûr de cette réponse.",
        "refuse": "Cela dépasse ce que je sais.",
    },
    "de": {
        "correct": "Ich bin mir dieser Antwort sicher.",
        "uncertain": "Ich bin mir dieser Antwort nicht sicher.",
        "refuse": "Das übersteigt mein Wissen.",
    },
    "ja": {
        "correct": "この答えには自信があります。",
        "uncertain": "この答えには自信がありません。",
        "refuse": "これは私の知識の範囲外です。",
    },
}


def refuse_in(language: str) -> str:
    """A short refusal in a language, in English where we have none."""
    return _REFUSALS.get(language, _REFUSALS["en"])


def justify_in(language: str, decision: Decision) -> str:
    """One sentence on a decision in a language, in English where we have none."""
    return _JUSTIFICATIONS.get(language, _JUSTIFICATIONS["en"])[decision]


def choose_refusal_phrase(question_id: str) -> str:
    """One of `REFUSAL_PHRASES`, always the same for a question."""
    return REFUSAL_PHRASES[hashlib.sha256(question_id.encode()).digest()[0] % len(REFUSAL_PHRASES)]
