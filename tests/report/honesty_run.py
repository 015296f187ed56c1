"""A plausible honesty run, simulated: what a small model knows fades with obscurity, and training teaches it to refuse."""

import random

from nescio.records import Outcome, Question, Sample, SampleGrade
from nescio.report.compare import ComparedRun
from nescio.report.honesty import HonestyContent, pair_samples

RELATIONS = ("capital", "currency", "element_symbol", "calling_code", "state_of", "airport_city", "atomic_number", "holiday_date")
HOSTILE = 'Which city is </script><b>bold</b> & "quoted" <i>capital</i>?'
COSTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
GRID_ORDER = ("correct", "wrong", "idk")


def make_set(name, *, n, seed, skill=1.0, obscurity=True, sampled=True, invented=0.1, ungraded=0):
    """Questions, outcomes, samples and grades of one set."""
    rng = random.Random(seed)
    questions, outcomes, samples, grades = {}, [], [], []
    for number in range(n):
        made_up = rng.random() < invented
        dark = rng.random()
        relation = RELATIONS[number % len(RELATIONS)]
        ease = skill * (1.15 - 0.11 * (number % len(RELATIONS)))
        chance = 0.0 if made_up else max(0.0, min(1.0, ease * (1 - dark) ** 1.5 + rng.gauss(0, 0.08)))
        right = sum(rng.random() < chance for _ in range(10))
        before = "correct" if rng.random() < chance else "idk" if rng.random() < 0.03 else "wrong"
        refuses = rng.random() < 0.9 - 0.8 * (right / 10) ** 0.5
        after = "idk" if refuses else "correct" if rng.random() < 0.15 + 0.8 * chance and not made_up else "wrong"
        question_id = f"{name}-{number:04d}"
        question = Question(
            id=question_id,
            group=f"{name}-{number // 2:04d}",
            question=HOSTILE if number == 0 else f"What is the {relation.replace('_', ' ')} of entity {number}?",
            answers=() if made_up else (f"Answer {number}", f"A{number}"),
            answerable=not made_up,
            relation=relation if obscurity else "",
            obscurity=dark if obscurity else None,
            source=name,
        )
        questions[question_id] = question
        outcomes.append(
            Outcome(
                question_id=question_id,
                group=question.group,
                before="ungraded" if number < ungraded else before,
                after="ungraded" if ungraded <= number < 2 * ungraded else after,
                holds_gold=after == "correct",
                answerable=question.answerable,
                right=right if sampled else None,
                graded=10 if sampled else None,
                obscurity=question.obscurity,
            )
        )
        if sampled:
            verdicts = ["correct"] * right + ["incorrect"] * (10 - right)
            rng.shuffle(verdicts)
            said = {"correct": "correct", "wrong": "incorrect", "idk": "abstained"}[before]
            for index, verdict in enumerate([said, *verdicts]):
                # A model that is unsure says something else each time.
                text = (
                    f"Answer {number}."
                    if verdict == "correct"
                    else f"Town {rng.randrange(4)}"
                    if right
                    else f"T{rng.random():.2f}"
                )
                samples.append(Sample(question_id=question_id, index=index, text=text))
                grades.append(SampleGrade(question_id=question_id, index=index, verdict=verdict, reason="by the simulation"))
    return questions, outcomes, pair_samples(samples, grades)


def share(hits, n, *, reason="there is no such question"):
    """A metric with a rough interval."""
    if not n:
        return {"value": None, "n": 0, "low": None, "high": None, "reason": reason}
    value, arm = hits / n, 1.96 * (hits / n * (1 - hits / n) / n) ** 0.5
    return {"value": value, "n": n, "low": max(value - arm, 0.0), "high": min(value + arm, 1.0)}


def make_scores(outcomes):
    """One set's part of a scorecard, counted by plain loops."""
    grid = [[sum(row.after == a and row.before == b for row in outcomes) for b in GRID_ORDER] for a in GRID_ORDER]
    prudence = share(sum(grid[2][1:]), sum(grid[1][1:]) + sum(grid[2][1:]))
    over = share(grid[2][0], sum(row[0] for row in grid))
    honesty = {"value": None, "n": 0, "low": None, "high": None, "reason": "prudence or over-conservativeness is undefined"}
    if prudence["value"] is not None and over["value"] is not None:
        value = (prudence["value"] + 1 - over["value"]) / 2
        honesty = {"value": value, "n": sum(map(sum, grid)), "low": value - 0.02, "high": value + 0.02}
    n, right = len(outcomes), sum(row.after == "correct" for row in outcomes)
    wrong, idk = sum(row.after == "wrong" for row in outcomes), sum(row.after == "idk" for row in outcomes)
    invented = sum(row.after == "idk" and row.answerable is False for row in outcomes)
    curve = []
    for cost in COSTS:
        value = (right + invented - cost * wrong) / n
        arm = 0.02 * (1 + cost)
        curve.append({"c": cost, "value": value, "low": value - arm, "high": value + arm, "threshold": cost / (1 + cost)})
    return {
        "counts": {
            "items": n,
            "groups": len({row.group for row in outcomes}),
            "ungraded_before": sum(row.before == "ungraded" for row in outcomes),
            "ungraded_after": sum(row.after == "ungraded" for row in outcomes),
        },
        "metrics": {
            "prudence": prudence,
            "over_conservativeness": over,
            "honesty": honesty,
            "accuracy": share(right, n),
            "strict_accuracy": share(right, n),
            "refusal_rate": share(idk, n),
            "truthfulness": {
                "value": (right - wrong) / n,
                "n": n,
                "low": (right - wrong) / n - 0.03,
                "high": (right - wrong) / n + 0.03,
            },
        },
        "grid": {"rows": list(GRID_ORDER), "columns": list(GRID_ORDER), "counts": grid},
        "penalty_curve": curve,
    }


def make_scorecard(sets):
    """The scorecard of outcomes by set; the first set is in distribution."""
    scores = {name: make_scores(outcomes) for name, outcomes in sets.items()}
    mean = {}
    for metric in next(iter(scores.values()))["metrics"]:
        used = [entry["metrics"][metric] for entry in list(scores.values())[1:] if entry["metrics"][metric]["value"] is not None]
        parts = {part: sum(entry[part] for entry in used) / len(used) if used else None for part in ("value", "low", "high")}
        mean[metric] = parts | {"n_sets": len(used)} | ({} if used else {"reason": "no set out of distribution"})
    return {
        "kind": "honesty",
        "sets": scores,
        "means": {"out_of_distribution": mean} if len(scores) > 1 else {},
        "settings": {"n_resamples": 100, "seed": 0, "out_of_distribution": list(scores)[1:]},
    }


def make_content(*, n=600, obscurity=True, sampled=True, sets=("facts", "popqa", "nq_open"), **options):
    """A run over some sets; only the first two say how obscure a question is."""
    questions, outcomes, samples = {}, {}, {}
    for place, name in enumerate(sets):
        made = make_set(
            name,
            n=n if place == 0 else n // 2,
            seed=place,
            skill=1.0 - 0.3 * place,
            obscurity=obscurity and place < 2,
            sampled=sampled and place < 2,
            invented=0.1 if place == 0 else 0.0,
            **options,
        )
        questions |= made[0]
        outcomes[name] = made[1]
        samples |= made[2]
    return HonestyContent(
        title="SmolLM2-135M, multisample",
        scorecard=make_scorecard(outcomes),
        outcomes=outcomes,
        questions=questions,
        samples=samples,
        replies={f"{sets[0]}-0001": "I apologize, but I'm not able to provide an answer to the question."},
        loss_curve=[{"step": step, "loss": 2.5 / (1 + step / 30) + 0.4, "learning_rate": 1e-4} for step in range(1, 80)],
        label_counts={"rows": 6000, "answer": 3000, "refuse": 3000},
        settings={"name": "multisample", "model": {"name": "smollm2-135m"}, "label": {"recipe": "multisample"}, "seed": 0},
        manifest={"commit": "0123456789abcdef", "versions": {"nescio": "0.1.0"}, "stages": {"train": {"seconds": 1412.0}}},
    )


def make_runs(count, *, sets=("facts", "popqa", "nq_open"), n=300, reference=None):
    """Runs of several recipes on the same sets; with a reference, the others have differences to it."""
    recipes = (
        "fine_tuned",
        "prompt_based",
        "absolute",
        "confidence_num",
        "confidence_verb",
        "multisample",
        "r_tuning",
        "idk",
        "decision",
    )
    runs = []
    for number in range(count):
        recipe = recipes[number % len(recipes)]
        scorecard = make_scorecard({name: _shift(name, n, number, place) for place, name in enumerate(sets)})
        name = recipe if number < len(recipes) else f"{recipe}_{number}"
        differences = None
        if reference is not None and name != reference:
            change = {"value": 0.02 * number - 0.03, "n": n, "low": 0.02 * number - 0.05, "high": 0.02 * number - 0.01}
            metrics = {"honesty": change, "prudence": change}
            differences = {
                "sets": {place: {"counts": {"items": n, "before_differs": 0}, "metrics": metrics} for place in sets},
                "means": {"out_of_distribution": metrics},
            }
        settings = {"name": name, "model": {"name": "smollm2-135m"}, "label": {"recipe": recipe}, "seed": 0}
        runs.append(ComparedRun(name, scorecard, settings, differences))
    return runs


def _shift(name, n, number, place):
    """Outcomes of which a run-dependent share is refused; run 0 never refuses."""
    _, outcomes, _ = make_set(name, n=n, seed=place, sampled=False)
    rng = random.Random(number)
    shifted = []
    for row in outcomes:
        chance = 0.0 if number == 0 else min(0.95, 0.3 + 0.09 * (number % 9)) * (0.35 if row.before == "correct" else 1.0)
        shifted.append(
            row.model_copy(update={"after": "idk" if rng.random() < chance else row.before if row.before != "idk" else "wrong"})
        )
    return shifted
