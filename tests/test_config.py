"""Run files: every key is known, every value is in range, and every fault is one line."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from nescio.config import ConfidenceConfig, HonestyConfig, RunConfig, Section, load_run_config, parse_run_config
from nescio.errors import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"
RUN_FILES = sorted(CONFIGS.rglob("*.yaml"))


@pytest.fixture
def write(tmp_path):
    """Write a run file."""

    def run(text, name="some-name.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return run


@pytest.mark.parametrize("path", RUN_FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_shipped_run_files_load_and_say_what_they_are_for(path):
    """Each shipped file is valid, opens with its purpose, command and hardware, and sets only what differs."""
    config = load_run_config(path)
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]

    assert config.name
    assert len(RUN_FILES) >= 1
    for word in ("Purpose:", "Command:", "Hardware:"):
        assert any(word in line for line in head), word
    assert any(f"configs/{path.relative_to(CONFIGS)}" in line for line in head)


def test_empty_file_is_the_default_run_named_after_the_file(write):
    """Nothing set means every default."""
    config = load_run_config(write(""))

    assert config == RunConfig(name="some-name")
    assert config.folder == Path("runs/some-name")


def test_out_decides_the_folder():
    """`out` wins over the name."""
    assert parse_run_config({"name": "a", "out": "elsewhere/b"}).folder == Path("elsewhere/b")


def test_overrides_are_read_as_yaml_and_win_over_the_file(write):
    """Numbers, lists, null and words come out as such; sections that the file lacks are made."""
    path = write("seed: 1\ntrain:\n  epochs: 5\n  rank: 4\n")
    overrides = [
        "train.epochs=2",
        "predict.systems=[base, tuned]",
        "data.limit=null",
        "train.learning_rate=1e-3",
        "out=x=y",
        "seed=7",
    ]
    config = load_run_config(path, overrides)

    assert (config.train.epochs, config.train.rank, config.seed) == (2, 4, 7)
    assert config.predict.systems == ("base", "tuned")
    assert config.data.limit is None
    assert config.train.learning_rate == 0.001  # YAML 1.1 reads 1e-3, which lacks a point, as a word
    assert config.out == "x=y"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian:\n  epochs: 1", "unknown key 'trian'. Did you mean 'train'? Known: calibrate, data,"),
        ("train:\n  epoch: 1", "unknown key in section 'train' 'epoch'. Did you mean 'epochs'?"),
        ("train: 3", "train: input should be a valid dictionary or instance of trainconfig, got 3"),
        ("train:\n  rank: 0", "train.rank: input should be greater than or equal to 1, got 0"),
        ("train:\n  warmup_ratio: 1", "train.warmup_ratio: input should be less than 1, got 1"),
        ("train:\n  learning_rate: .nan", "train.learning_rate: input should be "),
        ("train:\n  epochs: .inf", "train.epochs: input should be a finite number, got inf"),
        ("model:\n  dtype: float8", "model.dtype: input should be 'auto', 'float32', 'bfloat16' or 'float16', got 'float8'"),
        ("predict:\n  batch_size: 1.5", "predict.batch_size: input should be a valid integer"),
        ("seed: -1", "seed: input should be greater than or equal to 0, got -1"),
        ("1: 2", "1: keys should be strings, got 1"),
        ("- a\n- b", "must hold a mapping of sections, got list"),
        ("train: [", "is not valid YAML"),
        (b"name: g\xfcest", "cannot be read"),
    ],
)
def test_fault_is_one_line_that_names_file_key_and_value(write, text, message):
    """What happened, what we got, what was expected."""
    path = write(text)

    with pytest.raises(ConfigError) as caught:
        load_run_config(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "cannot read override 'train.epochs'; write it as section.key=value"),
        ("=1", "cannot read override '=1'"),
        ("name.x=1", "cannot set 'name.x': 'name' is not a section"),
        ("train.epochs={", "cannot read the value of override 'train.epochs={'"),
        ("train.epoch=1", "Did you mean 'epochs'?"),
    ],
)
def test_bad_override_is_one_line(write, override, message):
    """An override is checked like the file."""
    with pytest.raises(ConfigError, match=r".") as caught:
        load_run_config(write("name: a"), [override])

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_points_to_an_example(tmp_path):
    """The message has the path and one that exists."""
    with pytest.raises(
        ConfigError, match=r"run file '.*absent\.yaml' does not exist; give the path of a YAML file such as configs/"
    ):
        load_run_config(tmp_path / "absent.yaml")


def test_folder_is_no_run_file(tmp_path):
    """A path that cannot be read as a file is the user's mistake."""
    with pytest.raises(ConfigError, match=r"cannot be read: .*directory"):
        load_run_config(tmp_path)


def test_sections_are_frozen():
    """A run cannot change its own settings midway."""
    config = RunConfig()

    with pytest.raises(ValidationError):
        config.train.epochs = 1


def test_defaults_survive_a_round_trip():
    """What is saved as config.json is again a run file."""
    config = parse_run_config({"name": "a", "train": {"epochs": 2}})

    assert parse_run_config(config.model_dump(mode="json")) == config


def test_every_section_refuses_unknown_keys_and_infinities():
    """The rule is the sections' own, so that a new section cannot forget it."""
    sections = [field.annotation for field in RunConfig.model_fields.values() if isinstance(field.annotation, type)]
    sections = [section for section in sections if issubclass(section, BaseModel)]

    assert len(sections) == 7
    assert all(issubclass(section, Section) for section in sections)
    assert Section.model_config == {"frozen": True, "extra": "forbid", "allow_inf_nan": False}


@pytest.mark.parametrize("path", sorted((CONFIGS / "honesty").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_honesty_files_differ_in_name_and_label_alone(path):
    """So that a comparison of their runs compares recipes."""
    config, decision = load_run_config(path), load_run_config(CONFIGS / "honesty" / "decision.yaml")
    names = {"name": decision.name, "label": decision.label}

    assert isinstance(config, HonestyConfig)
    assert config.name == f"honesty-{path.stem.replace('_', '-')}"
    assert config.model_copy(update=names) == decision


@pytest.mark.parametrize("section", ["label", "questions", "sample"])
def test_a_section_of_its_own_makes_a_file_one_of_honesty(section):
    """Any of them; a file of the other kind may not have one."""
    assert isinstance(parse_run_config({section: {}}), HonestyConfig)
    with pytest.raises(ConfigError, match="unknown key 'data'"):
        parse_run_config({section: {}, "data": {}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"label": {"recip": "idk"}}, r"unknown key in section 'label' 'recip'. Did you mean 'recipe'\?"),
        ({"label": {}, "sampel": {}}, r"unknown key 'sampel'. Did you mean 'sample'\?"),
        (
            {"questions": {"test": {"popqa": {"source": "popqa", "spilt": "test"}}}},
            r"unknown key in section 'questions.test.popqa' 'spilt'. Did you mean 'split'\? Known: answerable, drop_choices, ",
        ),
        (
            {"questions": {"train": [{"sauce": "facts"}]}},
            r"unknown key in section 'questions.train.0' 'sauce'. Did you mean 'source'",
        ),
        ({"questions": {"test": {"limit": {"split": 3}}}}, r"questions.test.limit.split: .*, got 3"),
        ({"questions": {"test": {"../up": {}}}}, r"questions.test.*'../up'"),
        ({"label": {"balance": 1}}, r"label.balance: .*, got 1"),
        ({"label": None}, r"label: .*, got None"),
        ({"sample": {"n": 0}}, r"sample.n: .*, got 0"),
    ],
)
def test_faults_of_honesty_files_are_one_line(content, message):
    """With the place, the nearest name and what may stand there; a set's name is a part of file names."""
    with pytest.raises(ConfigError, match=message) as caught:
        parse_run_config(content)

    assert "\n" not in str(caught.value)


def test_confidence_files_ask_the_same_questions():
    """Runs can only be compared on the same questions, put to the model in the same way; those that are not say so by name."""
    files = {path.stem: load_run_config(path) for path in sorted((CONFIGS / "confidence").glob("*.yaml"))}
    first = files["probe"]

    assert len(files) > 10
    for name, config in files.items():
        assert isinstance(config, ConfidenceConfig)
        assert config.name == f"confidence-{name}"
        assert config.seed == first.seed
        if name in ("from_choices", "from_open"):
            continue
        assert config.sample.model_copy(update={"model": None}) == first.sample, name
        assert config.questions.test == first.questions.test, name
        if name not in ("asked", "promise"):
            assert config.questions == first.questions, name
    assert files["from_choices"].questions.test == files["from_open"].questions.test
