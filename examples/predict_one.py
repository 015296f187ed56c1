"""Ask a model one question. Run: python examples/predict_one.py [alias, hub id, folder or GGUF file]."""

import sys

from nescio.models.load import load_model
from nescio.predict import predict
from nescio.records import Example

# A prediction sees only id, question and context; the other fields are what the example teaches and is graded by.
example = Example(
    id="one",
    group="one",
    pattern="incomplete_context",
    context="The ferry to Lumo leaves at 7:40 from pier 3. Tickets are sold on board.",
    question="From which pier does the ferry to Lumo leave?",
    decision="correct",
    answer="It leaves from pier 3.",
    justification="The text names the pier.",
    evidence_quality="high",
    answers=("pier 3", "3"),
)
model = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
prediction = predict(load_model(model), [example])[0]

if prediction.failure or not prediction.probabilities:
    sys.exit(f"no prediction: {prediction.failure}")
print(f"decision:      {prediction.decision}")
print("probabilities: " + ", ".join(f"{decision} {p:.3f}" for decision, p in prediction.probabilities.items()))
print(f"answer:        {prediction.answer}")
