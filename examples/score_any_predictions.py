"""Score the predictions of any system, however they were made. Run: python examples/score_any_predictions.py."""

import numpy as np

from nescio.data.load import load_splits
from nescio.evaluate import evaluate_systems
from nescio.grade import grade_predictions
from nescio.records import DECISIONS, Prediction

# Two rows (the twins of one group) out of every ten: all kinds of questions.
rows = load_splits("failure_aware")["test"]
examples = [twin for first in range(0, len(rows), 10) for twin in rows[first : first + 2]]

# Put your own system here. `bold` answers whatever is asked; `careful` takes the right decision four times in five.
generator = np.random.default_rng(0)
stated = {"correct": 0.9, "uncertain": 0.3, "refuse": 0.1}
bold, careful = [], []
for e in examples:
    bold.append(Prediction(id=e.id, decision="correct", answer=e.answer, confidence=0.9))
    taken = e.decision if generator.random() < 0.8 else DECISIONS[generator.integers(3)]
    forced = None if taken == "correct" else e.answer
    careful.append(Prediction(id=e.id, decision=taken, answer=e.answer, forced_answer=forced, confidence=stated[taken]))

predictions = {"bold": bold, "careful": careful}
grades = {system: grade_predictions(examples, said) for system, said in predictions.items()}
scorecard = evaluate_systems(examples, predictions, grades, pairs=[("careful", "bold")])

for metric in ("decision_accuracy", "false_confidence_rate", "hallucination_rate", "over_refusal_rate", "brier"):
    values = "  ".join(f"{name} {system[metric]['value']:.2f}" for name, system in scorecard["systems"].items())
    gain = scorecard["paired"]["careful-bold"][metric]
    print(f"{metric:<22} {values}  difference {gain['value']:+.2f} ({gain['low']:+.2f} .. {gain['high']:+.2f})")
