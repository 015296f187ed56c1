"""The lean LoRA pass must give PEFT's numbers."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear

from nescio.train.lora import speed_up_lora


class TwoLayers(torch.nn.Module):
    """Linear layers with and without bias."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Linear(6, 5, bias=True)
        self.second = torch.nn.Linear(5, 4, bias=False)

    def forward(self, x):
        """Two products with a bend between them."""
        return self.second(torch.tanh(self.first(x)))


def adapt(model, **options):
    """LoRA with both matrices away from zero."""
    torch.manual_seed(1)
    adapted = get_peft_model(model, LoraConfig(r=2, lora_alpha=6, **{"target_modules": "all-linear"} | options))
    fill(adapted)
    return adapted


def fill(adapted):
    """Move every B away from zero, where it would hide A."""
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)


def pair(**options):
    """The same adapted model twice: by PEFT, and sped up."""
    reference = adapt(TwoLayers(), **options)
    lean = copy.deepcopy(reference)
    assert speed_up_lora(lean) == 2
    return reference, lean


@pytest.fixture
def x():
    """Inputs of shape (2, 3, 6)."""
    return torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(2))


def test_outputs_and_gradients_are_those_of_peft(x):
    """Output, the input's gradient and the gradients of every A and B agree to 1e-5, with and without bias."""
    results = []
    for model in pair():
        inputs = x.clone().requires_grad_()
        out = model(inputs)
        out.square().sum().backward()
        results.append([out, inputs.grad, *(p.grad for p in model.parameters() if p.requires_grad)])

    assert len(results[0]) == 2 + 4
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_whole_language_model_keeps_its_loss_and_gradients(load_tiny):
    """On a transformer, in which the first layer's input needs no gradient, all 28 adapter gradients agree to 1e-5."""
    reference = get_peft_model(load_tiny().model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    fill(reference)
    lean = copy.deepcopy(reference)
    assert speed_up_lora(lean) == 14
    ids = torch.arange(3, 43).view(2, 20)
    for model in (reference, lean):
        model(input_ids=ids, labels=ids).loss.backward()
    expected = {name: p.grad for name, p in reference.named_parameters() if p.requires_grad}

    assert len(expected) == 28
    for name, parameter in lean.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("options", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}])
def test_layers_that_are_not_plain_keep_pefts_own_pass(options):
    """Dropout, DoRA and a bias on B are left alone."""
    model = adapt(TwoLayers(), target_modules=["first"], **options)

    assert speed_up_lora(model) == 0
    assert all("forward" not in vars(module) for module in model.modules() if isinstance(module, Linear))


def test_disabled_adapter_gives_the_base_model(x):
    """Inside `disable_adapter` the sped-up model is the base model, and afterwards itself again."""
    base, (_, lean) = TwoLayers(), pair()
    with torch.no_grad():
        adapted = lean(x)
        with lean.disable_adapter():
            disabled = lean(x)

        assert torch.equal(disabled, base(x))
        assert not torch.allclose(adapted, disabled, atol=1e-3)
        assert torch.equal(lean(x), adapted)


def test_merged_adapter_is_not_added_twice(x):
    """Merging, unmerging and unloading leave the outputs as they were."""
    _, lean = pair()
    with torch.no_grad():
        expected = lean(x)
        lean.merge_adapter()
        merged = lean(x)
        lean.unmerge_adapter()
        unmerged = lean(x)
        unloaded = lean.merge_and_unload()(x)

    for got in (merged, unmerged, unloaded):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_a_second_adapter_brings_pefts_own_pass_back(x):
    """With another adapter active, or two of them, the outputs are those of PEFT."""
    reference, lean = pair()
    for model in (reference, lean):
        torch.manual_seed(3)
        model.add_adapter("other", LoraConfig(r=2, target_modules=["first", "second"], init_lora_weights=False))
    with torch.no_grad():
        for active in ("other", ["default", "other"]):
            for model in (reference, lean):
                model.base_model.set_adapter(active)

            torch.testing.assert_close(lean(x), reference(x), rtol=1e-5, atol=1e-5)


def test_low_precision_stays_near_peft(x):
    """In bfloat16 the lean pass casts the small matrices instead of the input: results agree to a few roundings (2^-8)."""
    reference, lean = (model.to(torch.bfloat16) for model in pair())
    with torch.no_grad():
        expected, got = reference(x.bfloat16()), lean(x.bfloat16())

    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected.float(), rtol=0.04, atol=0.04)
