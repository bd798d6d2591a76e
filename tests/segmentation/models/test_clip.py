"""Which CLIPs can work, their weights, and words to vectors, against open_clip itself."""

from __future__ import annotations

import json

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig

from napari_cliper.segmentation import SegmentationConfig, Segmenter
from napari_cliper.segmentation.errors import DamagedWeightsError, InvalidInputError, Stopped
from napari_cliper.segmentation.models import clip
from napari_cliper.segmentation.models.clip import TextEncoder
from napari_cliper.segmentation.models.clip_image_encoder import MEAN, STD
from napari_cliper.segmentation.progress import Monitor

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}
PROMPTS = ["a photo of a dog.", "bacteria", "細胞核", "zzz", ""]


def with_vision(**settings):
    return {**CONFIG, "vision_cfg": CONFIG["vision_cfg"] | settings}


def model_of(config=CONFIG, kind=open_clip.CLIP, *, quick_gelu=False):
    torch.manual_seed(0)
    parts = {key: config[key] for key in ("embed_dim", "vision_cfg", "text_cfg")}
    return kind(**parts, quick_gelu=quick_gelu).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tensors():
    return model_of().state_dict()


@pytest.fixture
def nothing_is_built(monkeypatch):
    def built(*_args, **_kwargs):
        raise AssertionError("a network was built")

    for name in ("CLIP", "CustomTextCLIP", "create_model", "load_checkpoint"):
        monkeypatch.setattr(open_clip, name, built)


# --- which can work


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RN50", "is a ResNet"),
        ("RN50x64-quickgelu", "is a ResNet"),
        ("ViT-B-16-SigLIP", "it is a SigLIP: without a class token"),
        ("ViT-B-16-SigLIP2", "it is a SigLIP"),
        ("EVA02-L-14", "comes from timm"),
        ("convnext_base", "comes from timm"),
        ("coca_ViT-B-32", "pools patches by attention"),
        ("coca_base", "captioning model"),
        ("ViT-L-14-CLIPA", "pools by 'avg'"),
        ("ViT-bigG-14-CLIPA-336", "pools by 'avg'"),
    ],
)
def test_a_model_that_cannot_work_is_refused_with_the_reason(name, reason):
    with pytest.raises(InvalidInputError, match=reason) as error:
        clip.model_config(name)
    assert str(error.value).startswith(f"{name} cannot be used: ")
    assert "ViT-B-16" in str(error.value)  # what to choose instead


def test_a_siglip_is_refused_with_the_reason_by_any_name():
    for name in ("SigLIP-ViT-B/16", "siglip2", "open_clip:SigLIP-ViT-B-16/webli"):
        with pytest.raises(InvalidInputError, match="cannot be used: it is a SigLIP"):
            Segmenter(SegmentationConfig(model=name)).source  # noqa: B018


@pytest.mark.usefixtures("nothing_is_built")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"pos_embed_type": "sin_cos_2d"}, "sinusoidal"),
        ({"qk_norm": True}, "q-k norm"),
        ({"scaled_cosine_attn": True}, "q-k norm"),
        ({"block_type": "custom"}, "not the plain attention blocks"),
        ({"scale_heads": True}, "not the plain attention blocks"),
        ({"scale_attn_inner": True}, "not the plain attention blocks"),
        ({"scale_attn": True}, "not the plain attention blocks"),
        ({"scale_fc": True}, "not the plain attention blocks"),
        ({"pool_type": "none"}, "pools by 'none'"),
        ({"attentional_pool": "parallel"}, "pools patches by attention"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(settings, reason):
    with pytest.raises(InvalidInputError, match=reason) as error:
        clip.build(with_vision(**settings), {}, source="mine.pt")
    assert "mine.pt" in str(error.value)


def test_every_vit_with_a_class_token_and_learned_positions_is_accepted():
    """The table of open_clip, sorted here by what its own classes say of each tower."""
    usable = set()
    for name in open_clip.list_models():
        vision = open_clip.CLIPVisionCfg(**open_clip.get_model_config(name)["vision_cfg"])
        plain = not vision.timm_model_name and isinstance(vision.layers, int)
        if plain and not vision.attentional_pool and vision.pool_type == "tok":
            usable.add(name)
    captioning = {name for name in usable if name.startswith("coca")}
    accepted = {
        name
        for name in open_clip.list_models()
        if clip.refusal(open_clip.get_model_config(name)) is None
    }
    assert accepted == usable - captioning
    assert len(accepted) >= 46  # as many as open_clip 3.3 has
    assert accepted >= {
        "ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-H-14", "ViT-bigG-14", "ViT-B-16-quickgelu",
        "ViT-L-14-336-quickgelu", "ViT-M-16-alt", "ViT-H-14-worldwide", "roberta-ViT-B-32",
    }  # fmt: skip


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(InvalidInputError, match="Did you mean 'ViT-B-16-quickgelu'"):
        clip.model_config("vit-b-16-quickgleu")


def test_an_unknown_tag_names_the_tags():
    with pytest.raises(InvalidInputError, match=r"weights of ViT-B-16 'opnai'.*'openai'") as error:
        clip.pretrained("ViT-B-16", "opnai")
    assert "laion2b_s34b_b88k" in str(error.value)


def test_where_a_tag_is_and_what_it_wants():
    found = clip.pretrained("ViT-B-16", "openai")
    assert found.repository == "timm/vit_base_patch16_clip_224.openai"
    assert found.files == ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    assert (found.quick_gelu, found.mean, found.std) == (True, MEAN, STD)
    assert not clip.pretrained("ViT-B-16", "laion2b_s34b_b88k").quick_gelu
    # One of open_clip's tags was trained on pixels in [-1, 1].
    odd = clip.pretrained("ViT-L-14", "laion2b_s32b_b82k")
    assert odd.mean == odd.std == (0.5, 0.5, 0.5)


def test_a_tag_that_names_its_file(monkeypatch):
    monkeypatch.setattr(
        open_clip, "get_pretrained_cfg", lambda *_: {"hf_hub": "someone/model/weights.bin"}
    )
    found = clip.pretrained("ViT-B-16", "openai")
    assert (found.repository, found.files) == ("someone/model", ("weights.bin",))


def test_a_tag_that_is_not_on_the_hub(monkeypatch):
    monkeypatch.setattr(
        open_clip, "get_pretrained_cfg", lambda *_: {"url": "https://example.org/b16.pt"}
    )
    with pytest.raises(InvalidInputError, match=r"Download https://example.org/b16.pt yourself"):
        clip.pretrained("ViT-B-16", "openai")


# --- building


@pytest.mark.parametrize("in_config", [True, False])
def test_quick_gelu_of_the_tag_or_of_the_configuration(tensors, in_config):
    config = {**CONFIG, "quick_gelu": True} if in_config else CONFIG
    built = clip.build(config, tensors, source="test", quick_gelu=not in_config)
    plain = clip.build(CONFIG, tensors, source="test")
    pixels = torch.randn(1, 3, 16, 16)
    expected = model_of(quick_gelu=True).visual(pixels)
    assert torch.equal(built.image.visual(pixels), expected)
    assert not torch.allclose(plain.image.visual(pixels), expected, atol=1e-4)
    # The text tower as well
    words = open_clip.SimpleTokenizer(context_length=24)(PROMPTS)
    vectors = F.normalize(model_of(quick_gelu=True).encode_text(words), dim=-1)
    torch.testing.assert_close(built.text.encode(PROMPTS), vectors, rtol=0, atol=1e-6)


def test_weights_arrive(tensors):
    built = clip.build(CONFIG, tensors, source="test", mean=(0.5,) * 3, std=(0.25,) * 3)
    state = built.text.model.state_dict()
    assert state.keys() == tensors.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())
    assert not any(p.requires_grad for p in built.text.model.parameters())
    assert (built.image.mean, built.image.std) == ((0.5,) * 3, (0.25,) * 3)
    assert not built.text.model.training


def test_a_checkpoint_of_another_shape_names_the_tensor_and_the_way_out(tensors):
    config = with_vision(width=64)
    with pytest.raises(DamagedWeightsError, match="does not fit") as error:
        clip.build(config, tensors, source="other.pt")
    text = str(error.value)
    assert "other.pt" in text
    assert "'visual.class_embedding' has shape (32,), but the architecture has (64,)" in text
    assert "Choose the architecture" in text


def test_a_checkpoint_that_lacks_tensors_names_the_first(tensors):
    some = {k: v for k, v in tensors.items() if not k.startswith("visual.transformer.resblocks.1")}
    with pytest.raises(DamagedWeightsError, match=r"lacks 12 of \d+ tensors") as error:
        clip.build(CONFIG, some, source="some.pt")
    assert "'visual.transformer.resblocks.1.attn.in_proj_bias' first" in str(error.value)
    with pytest.raises(DamagedWeightsError, match="Choose the architecture"):
        clip.build(CONFIG, {"weight": torch.ones(1)}, source="x.pt")


def test_tensors_of_older_programs_are_left_out(tensors):
    older = tensors | {"input_resolution": torch.tensor(16), "context_length": torch.tensor(24)}
    assert clip.build(CONFIG, older, source="older.pt").text is not None


def test_a_bare_image_tower(tensors):
    bare = {k: v for k, v in tensors.items() if k.startswith("visual.")}
    config = {k: v for k, v in CONFIG.items() if k != "text_cfg"}
    built = clip.build(config, bare, source="bare.safetensors")
    assert built.text is None
    pixels = torch.randn(1, 3, 16, 16)
    assert torch.equal(built.image.visual(pixels), model_of().visual(pixels))
    with pytest.raises(InvalidInputError, match="no text_cfg"):
        clip.build(config, tensors, source="whole.safetensors")


@pytest.mark.parametrize("custom", [True, False])
def test_text_tower_in_its_own_module(tensors, custom):
    """CustomTextCLIP, from its own checkpoint and from one of the plain layout."""
    config = {**CONFIG, "custom_text": True}
    library = model_of(kind=open_clip.CustomTextCLIP)
    library.load_state_dict(open_clip.model.convert_to_custom_text_state_dict(tensors))
    given = library.state_dict() if custom else tensors
    built = clip.build(config, given, source="test")
    assert isinstance(built.text.model, open_clip.CustomTextCLIP)
    words = built.text.tokenizer(PROMPTS)
    expected = library.encode_text(words, normalize=True)
    torch.testing.assert_close(built.text.encode(PROMPTS), expected, rtol=0, atol=1e-6)


def test_a_checkpoint_of_training_on_several_devices(tensors):
    """Their names begin with "module." in what open_clip's training writes."""
    marked = {f"module.{name}": tensor for name, tensor in tensors.items()}
    built = clip.build(CONFIG, marked, source="epoch_32.pt")
    assert torch.equal(built.image.visual.proj, tensors["visual.proj"])


# --- telling the architecture


def test_architecture_of_every_usable_name_from_its_shapes():
    """Only those whose tensors have the very same shapes are named with it."""
    shapes = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if clip.refusal(config) or config["text_cfg"].get("hf_model_name"):
            continue
        with torch.device("meta"):
            state = open_clip.CLIP(**config).state_dict()
        shapes[name] = {key: tuple(tensor.shape) for key, tensor in state.items()}
        found = clip.matching_architectures(state)
        assert name in found
        shapes[name, "found"] = found
    names = [name for name in shapes if isinstance(name, str)]
    for name in names:
        same = [other for other in names if shapes[other] == shapes[name]]
        assert shapes[name, "found"] == same
    assert shapes["ViT-L-14-280", "found"] == ["ViT-L-14-280"]
    assert shapes["ViT-B-16", "found"] == ["ViT-B-16", "ViT-B-16-quickgelu"]


def test_architecture_of_other_layouts():
    config = open_clip.get_model_config("ViT-S-16-alt")
    with torch.device("meta"):
        state = open_clip.CustomTextCLIP(**config).state_dict()
    assert clip.matching_architectures(state) == ["ViT-S-16-alt"]
    marked = {f"module.{name}": tensor for name, tensor in state.items()}
    assert clip.matching_architectures(marked) == ["ViT-S-16-alt"]
    bare = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
    assert "ViT-S-16-alt" in clip.matching_architectures(bare)
    assert clip.matching_architectures({"weight": torch.ones(2)}) == []
    assert clip.matching_architectures({**state, "visual.conv1.weight": torch.ones(2)}) == []


def test_a_shape_that_no_architecture_has(tensors):
    assert clip.matching_architectures(tensors) == []


# --- somebody's own configuration


def test_defaults_are_those_of_open_clip():
    config = clip.completed({"embed_dim": 16, "vision_cfg": {"width": 64}}, "mine.json")
    assert config["vision_cfg"]["patch_size"] == 16
    assert config["vision_cfg"]["layers"] == 12
    assert clip.refusal(config) is None


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"embed_dim": 16},
        {"vision_cfg": {}},
        {"embed_dim": "wide", "vision_cfg": {}},
        {"embed_dim": 16, "vision_cfg": {"no_such_field": 1}},
        {"embed_dim": 16, "vision_cfg": [1]},
    ],
)
def test_an_invalid_configuration_is_reported(config):
    with pytest.raises(InvalidInputError, match=r"mine\.json is not an open_clip configuration"):
        clip.completed(config, "mine.json")


# --- words


@pytest.fixture(scope="module")
def text(tensors):
    return clip.build(CONFIG, tensors, source="test").text


def test_vectors_are_those_of_the_library(text, monkeypatch):
    expected = model_of().encode_text(
        open_clip.SimpleTokenizer(context_length=24)(PROMPTS), normalize=True
    )
    vectors = text.encode(PROMPTS)
    assert (vectors.dtype, vectors.device.type) == (torch.float32, "cpu")
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(PROMPTS)), rtol=0, atol=1e-6)
    monkeypatch.setattr(TextEncoder, "batch", 2)  # in three passes
    torch.testing.assert_close(text.encode(PROMPTS), vectors, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"no_causal_mask": True},
        {"proj_type": "none"},
        {"proj_bias": True},
        {"pool_type": "last"},
        {"pool_type": "eos", "eos_id": 49407},
        {"pool_type": "first"},
        {"ls_init_value": 0.2},
    ],
    ids=str,
)
def test_vectors_of_every_kind_of_text_tower(settings):
    """Whatever a pass may leave out: short prompts and one that is cut, together and alone."""
    config = {**CONFIG, "text_cfg": CONFIG["text_cfg"] | settings}
    library = model_of(config)
    built = clip.build(config, library.state_dict(), source="test").text
    prompts = ["", "a", "a photo of the large dog in the scene.", "very " * 40 + "long worm"]
    tokens = open_clip.SimpleTokenizer(context_length=24)(prompts)
    expected = library.encode_text(tokens, normalize=True)
    torch.testing.assert_close(built.encode(prompts), expected, rtol=0, atol=1e-6)
    for prompt, vector in zip(prompts, expected, strict=True):
        torch.testing.assert_close(built.encode([prompt])[0], vector, rtol=0, atol=1e-6)


def test_padding_is_not_computed(text):
    seen = []
    handle = text.model.ln_final.register_forward_hook(lambda _m, args, _o: seen.append(args[0]))
    text.encode(["dog", "a photo of a dog."])
    handle.remove()
    assert [tuple(x.shape[:2]) for x in seen] == [(2, 8)]  # of 24 tokens


def test_bfloat16_vectors_are_close(tensors, text):
    half = clip.build(CONFIG, tensors, source="test").text
    half.model.to(torch.bfloat16)
    vectors = half.encode(PROMPTS)
    assert vectors.dtype == torch.float32
    assert F.cosine_similarity(vectors, text.encode(PROMPTS)).min() > 0.99


def test_a_prompt_is_counted_past_the_context(text):
    assert text.context_length == 24
    assert text.token_count("") == 2
    assert text.token_count("dog") == 3
    assert text.token_count("a photo of a dog.") == 8
    assert text.token_count("dog " * 30) == 32
    assert text.token_count("dog!!?!!x") == 2 + len(text.tokenizer.encode("dog!!?!!x"))
    # "!" that others follow has the number 0, which also fills up.
    assert text.tokenizer.encode("!≠")[0] == 0
    assert text.token_count("!≠") == 2 + len(text.tokenizer.encode("!≠"))


def test_a_stop_takes_effect_within_a_pass_over_the_words(text):
    requested = []

    def should_stop():
        requested.append(None)
        return len(requested) > 6

    ended = []
    handle = text.model.ln_final.register_forward_hook(lambda *_: ended.append(1))
    with pytest.raises(Stopped):
        text.encode(PROMPTS, Monitor(should_stop=should_stop))
    handle.remove()
    assert ended == []
    assert not any(module._forward_pre_hooks for module in text.model.modules())
    assert len(text.encode(PROMPTS)) == len(PROMPTS)


def test_template_sets_of_openai():
    assert len(clip.openai_templates("openai-80")) == 80
    assert len(clip.openai_templates("openai-7")) == 7
    assert "a bad photo of a {}." in clip.openai_templates("openai-80")


# --- text towers and tokenizers of transformers


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    """As the hub has it for RoBERTa, tiny; the padding is 1, not 0."""
    folder = tmp_path_factory.mktemp("roberta")
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "dog": 4, "cat": 5}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    ).save_pretrained(folder)
    RobertaConfig(
        vocab_size=6,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=40,
    ).save_pretrained(folder)
    return folder


def test_a_text_tower_of_transformers(text_folder):
    own = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"}
    local = {"hf_model_name": str(text_folder), "hf_model_pretrained": False}
    library = model_of({**CONFIG, "text_cfg": local}, open_clip.CustomTextCLIP)
    config = {**CONFIG, "text_cfg": own}
    assert clip.text_repository(config) == "roberta-base"
    built = clip.build(config, library.state_dict(), source="test", text_folder=text_folder)
    words = torch.tensor([[0, 4, 2] + [1] * 74, [0, 4, 5, 2] + [1] * 73])
    assert torch.equal(built.text.tokenizer(["dog", "dog cat"]), words)
    vectors = built.text.encode(["dog", "dog cat"])
    expected = library.encode_text(words, normalize=True)
    torch.testing.assert_close(vectors, expected, rtol=0, atol=1e-6)
    assert built.text.token_count("dog cat") == 4
    with pytest.raises(InvalidInputError, match="needs the tokenizer of roberta-base"):
        clip.build(config, library.state_dict(), source="test")


def test_another_tokenizer_alone(text_folder, tmp_path):
    text_config = CONFIG["text_cfg"] | {
        "vocab_size": 6,
        "hf_tokenizer_name": "facebook/xlm-v-base",
        "pool_type": "eos",
        "eos_id": 2,
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    config = {**CONFIG, "text_cfg": text_config}
    tensors = model_of(config).state_dict()
    built = clip.build(config, tensors, source="test", text_folder=text_folder)
    assert built.text.tokenizer(["Dog!"])[0, :4].tolist() == [0, 4, 2, 1]  # made lower case
    assert built.text.token_count("dog cat") == 4
    with pytest.raises(DamagedWeightsError, match=r"tokenizer in .* cannot be read"):
        clip.build(config, tensors, source="test", text_folder=tmp_path)


def test_the_small_clip_of_the_tests_is_one(tiny_clip):
    config = json.loads(tiny_clip.with_suffix(".json").read_text())
    assert clip.build(config, load_file(tiny_clip), source="tiny").text.token_count("dog") == 3


def test_every_listed_model_can_be_used():
    names = clip.listed_models()
    assert "open_clip:ViT-B-16/laion2b_s34b_b88k" in names
    assert not any("RN50" in name or "coca" in name for name in names)  # ResNets, captioning
    for name in names:
        architecture, _, tag = name.partition(":")[2].partition("/")
        assert clip.refusal(open_clip.get_model_config(architecture)) is None
        assert clip.pretrained(architecture, tag).repository
